"""Composes what visitors of other pages may do with a button."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from billing.call_feedback import FeedbackStore
from billing.clock import utc_now
from gateway.calls import human_check
from gateway.calls.admission import Admission
from gateway.calls.button_admission import ButtonAdmission
from gateway.calls.destination_proofs import Announcer, DestinationProofs
from gateway.http.access import DeclaredRoute
from gateway.http.embed.api import EmbedApi
from gateway.http.embed.door import ButtonDoor
from gateway.http.embed.frames import EmbedFiles, files_in
from gateway.people.button_acts import ButtonActs
from gateway.people.buttons import OwnButtons
from gateway.ports import Velocity
from gateway.roles.fraud import Fraud
from gateway.roles.prices import Prices
from gateway.roles.storage import Stores
from gateway.settings import Settings
from gateway.stores.button_eras import RedisButtonEras
from gateway.stores.buttons import SqlButtons
from gateway.stores.challenges import RedisChallenges
from gateway.stores.proof_codes import RedisProofCodes
from gateway.stores.visitor_refusals import RedisVisitorRefusals


@dataclass(frozen=True, slots=True)
class Embed:
    """Finds buttons, and admits their calls."""

    door: ButtonDoor
    admission: ButtonAdmission


def buttons_of(stores: Stores) -> SqlButtons:
    """Return the store of buttons."""
    return SqlButtons(stores.engine, stores.key_epochs.invalidate)


def compose_embed(
    settings: Settings,
    stores: Stores,
    velocity: Velocity,
    admission: Admission,
    turned_away: Callable[[str, str], None],
) -> Embed:
    """Return the checks that visitors' calls pass, in addition to those of any call.

    `turned_away` is called with a button and the code of a visitor's refusal. Raises SettingsError
    for a visitor check that cannot be loaded.
    """
    buttons = buttons_of(stores)
    door = ButtonDoor(
        buttons,
        stores.accounts,
        stores.key_epochs,
        velocity,
        own_origins=settings.own_origins,
        clock_ns=time.monotonic_ns,
        utc_now=utc_now,
    )
    challenges = RedisChallenges(
        stores.redis,
        secrets.token_bytes,
        # The secret shared by all nodes.
        secret=settings.twilio_auth_token.reveal(),
    )
    rules = ButtonAdmission(
        admission,
        challenges,
        stores.gate,
        RedisButtonEras(stores.redis),
        buttons,
        human_check.load(settings.human_check),
        turned_away,
    )
    return Embed(door, rules)


def own_buttons(settings: Settings, stores: Stores, velocity: Velocity) -> OwnButtons:
    """Return what people and programs do with their buttons."""
    acts = ButtonActs(
        buttons_of(stores),
        RedisButtonEras(stores.redis),
        velocity,
        utc_now,
        call_seconds_max=settings.call_duration_max_s,
    )
    return OwnButtons(acts, RedisVisitorRefusals(stores.redis), stores.gate.calls_of_key)


def compose_proofs(
    settings: Settings,
    stores: Stores,
    velocity: Velocity,
    *,
    prices: Prices,
    fraud: Fraud,
    announcer: Announcer,
) -> DestinationProofs:
    """Return what proves that numbers belong to people; `announcer` is the carrier."""
    return DestinationProofs(
        accounts=stores.accounts,
        numbers=buttons_of(stores),
        codes=RedisProofCodes(stores.redis),
        announcer=announcer,
        velocity=velocity,
        rates=prices.rates,
        closed_destinations=prices.closed_destinations,
        risk=fraud.risk,
        new_number=secrets.randbelow,
        secret=settings.twilio_auth_token.reveal(),
        service=settings.service_name,
    )


def embed_routes(
    settings: Settings, embed: Embed, feedback: FeedbackStore, static_dir: Path
) -> Sequence[DeclaredRoute]:
    """Return the routes of visitors."""
    return [
        *EmbedApi(settings, embed.door, embed.admission, feedback, utc_now).routes(),
        *EmbedFiles(settings, embed.door, files_in(static_dir)).routes(),
    ]
