"""Builds what visitors, owners and programs use of buttons."""

from __future__ import annotations

import secrets
import time

from billing.clock import utc_now
from billing.stores.call_rows import SqlFeedbackStore
from gateway.app import Services, WebServices
from gateway.buttons import human_check
from gateway.buttons.acts import ButtonActs
from gateway.buttons.admission import ButtonAdmission
from gateway.buttons.api import ButtonsApi
from gateway.buttons.challenge_store import RedisChallenges
from gateway.buttons.destination_pages import DestinationPages
from gateway.buttons.destination_proofs import DestinationProofs
from gateway.buttons.door import ButtonDoor
from gateway.buttons.era_store import RedisButtonEras
from gateway.buttons.frames import EmbedFiles, files_in
from gateway.buttons.own_buttons import OwnButtons
from gateway.buttons.pages import ButtonPages
from gateway.buttons.proof_code_store import RedisProofCodes
from gateway.buttons.store import SqlButtons
from gateway.buttons.visitor_api import EmbedApi
from gateway.buttons.visitor_refusal_store import RedisVisitorRefusals
from gateway.http.access import DeclaredRoute
from gateway.http.pages import STATIC_DIR
from gateway.http.site.door import Door
from gateway.http.site.forms import new_once


def new_store(services: Services) -> SqlButtons:
    """Return the store of buttons."""
    return SqlButtons(services.stores.engine, services.stores.key_epochs.invalidate)


def new_door(services: WebServices) -> ButtonDoor:
    """Return what finds the button that a visitor's request names."""
    return ButtonDoor(
        new_store(services),
        services.stores.accounts,
        services.stores.key_epochs,
        services.velocity,
        own_origins=services.settings.own_origins,
        clock_ns=time.monotonic_ns,
        utc_now=utc_now,
    )


def new_admission(services: WebServices) -> ButtonAdmission:
    """Return the checks that visitors' calls pass, in addition to those of any call.

    Raises SettingsError for a visitor check that cannot be loaded.
    """
    challenges = RedisChallenges(
        services.stores.redis,
        secrets.token_bytes,
        secret=services.settings.shared_secret,
    )
    return ButtonAdmission(
        services.admission,
        challenges,
        services.stores.gate,
        RedisButtonEras(services.stores.redis),
        new_store(services),
        human_check.load(services.settings.human_check),
        services.on_visitor_refusal,
    )


def new_own_buttons(services: WebServices) -> OwnButtons:
    """Return what people and programs do with their buttons."""
    stores = services.stores
    acts = ButtonActs(
        new_store(services),
        RedisButtonEras(stores.redis),
        services.velocity,
        utc_now,
        call_seconds_max=services.settings.call_duration_max_s,
    )
    return OwnButtons(acts, RedisVisitorRefusals(stores.redis), stores.gate.calls_of_key)


def new_proofs(services: WebServices) -> DestinationProofs:
    """Return what proves that numbers belong to people."""
    return DestinationProofs(
        accounts=services.stores.accounts,
        numbers=new_store(services),
        codes=RedisProofCodes(services.stores.redis),
        announcer=services.announcer,
        velocity=services.velocity,
        rates=services.rates,
        closed_destinations=services.closed_destinations,
        risk=services.risk,
        new_number=secrets.randbelow,
        secret=services.settings.shared_secret,
        service=services.settings.service_name,
    )


def routes(services: WebServices) -> list[DeclaredRoute]:
    """Return the routes of visitors, and of programs of owners."""
    settings, door = services.settings, services.one(new_door)
    feedback = SqlFeedbackStore(services.stores.engine)
    own = services.one(new_own_buttons)
    secret = settings.shared_secret
    return [
        *EmbedApi(settings, door, services.one(new_admission), feedback, utc_now).routes(),
        *EmbedFiles(settings, door, files_in(STATIC_DIR)).routes(),
        *ButtonsApi(services.auth, own, secret).routes(),
    ]


def page_routes(services: WebServices, door: Door) -> list[DeclaredRoute]:
    """Return the routes of owners' pages."""
    own, origin = services.one(new_own_buttons), services.settings.origin
    return [
        *ButtonPages(door, own, services.index.credit, origin, new_once).routes(),
        *DestinationPages(door, own, services.one(new_proofs)).routes(),
    ]
