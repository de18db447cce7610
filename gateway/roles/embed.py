"""Composes what visitors of other pages may do with a button. Knows no live call."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from billing.clock import utc_now
from gateway.calls.admission import Admission
from gateway.calls.button_admission import ButtonAdmission
from gateway.calls.destination_proofs import Announcer, DestinationProofs
from gateway.http.access import DeclaredRoute
from gateway.http.embed.api import EmbedApi
from gateway.http.embed.door import ButtonDoor
from gateway.http.embed.frames import EmbedFiles, files_in
from gateway.people.buttons import OwnButtons
from gateway.ports import Velocity
from gateway.roles.fraud import Fraud
from gateway.roles.prices import Prices
from gateway.roles.storage import Stores
from gateway.settings import Settings
from gateway.stores.buttons import SqlButtons
from gateway.stores.challenges import RedisChallenges
from gateway.stores.proof_codes import RedisProofCodes


@dataclass(frozen=True, slots=True)
class Embed:
    """How buttons are found, and what admits their calls."""

    door: ButtonDoor
    admission: ButtonAdmission


def buttons_of(stores: Stores) -> SqlButtons:
    """Return where buttons are kept."""
    return SqlButtons(stores.engine, stores.key_epochs.invalidate)


def compose_embed(
    settings: Settings, stores: Stores, velocity: Velocity, admission: Admission
) -> Embed:
    """Return what visitors' calls pass through, beside the rules of any call."""
    door = ButtonDoor(
        *(buttons_of(stores), stores.accounts, stores.key_epochs, velocity),
        own_origins=settings.own_origins,
        clock_ns=time.monotonic_ns,
        utc_now=utc_now,
    )
    challenges = RedisChallenges(
        stores.redis,
        secrets.token_bytes,
        # The secret that all nodes share.
        secret=settings.twilio_auth_token.reveal(),
    )
    return Embed(door, ButtonAdmission(admission, challenges, stores.gate))


def own_buttons(settings: Settings, stores: Stores) -> OwnButtons:
    """Return what people do with their buttons."""
    return OwnButtons(buttons_of(stores), utc_now, settings.call_duration_max_s)


def compose_proofs(
    settings: Settings,
    stores: Stores,
    velocity: Velocity,
    *,
    prices: Prices,
    fraud: Fraud,
    announcer: Announcer,
) -> DestinationProofs:
    """Return what proves that numbers are people's; `announcer` is the carrier."""
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


def embed_routes(settings: Settings, embed: Embed, static_dir: Path) -> Sequence[DeclaredRoute]:
    """Return the routes of visitors."""
    return [
        *EmbedApi(settings, embed.door, embed.admission).routes(),
        *EmbedFiles(settings, embed.door, files_in(static_dir)).routes(),
    ]
