"""Builds what knows people: their store, their sessions, and what recognises them by a cookie."""

from __future__ import annotations

import secrets
import time

from accounts.stores.ceremonies import RedisCeremonies
from accounts.stores.secret_box import SecretBox
from accounts.stores.sessions import RedisSessions
from billing.clock import utc_now
from gateway.app import PeopleServices
from gateway.http.cookies import Cookies
from gateway.http.holders import Holders
from gateway.http.sessions import BrowserSessions
from gateway.people.address_countries import AddressCountries, read_countries
from gateway.people.departure_store import SqlDepartures
from gateway.people.own_documents import OwnDocuments, load_documents
from gateway.people.password_process import PasswordProcess
from gateway.people.privacy import Privacy
from gateway.people.second_factor_store import SqlSecondFactors
from gateway.people.store import SqlPeople
from gateway.settings import Settings
from gateway.stores.mail_outbox import queue_notice
from gateway.stores.secret_keys import secret_keys


def new_store(services: PeopleServices) -> SqlPeople:
    """Return the store of people."""
    stores = services.stores

    async def freeze(account_id: str, is_frozen: bool) -> None:
        await stores.gate.freeze(account_id, is_frozen)
        # Ends the calls of a frozen account at once, instead of within a second.
        await services.on_credit(account_id)

    return SqlPeople(
        stores.engine,
        queue_notice,
        taking_back=services.taking_back,
        on_epoch=stores.key_epochs.invalidate,
        on_freeze=freeze,
    )


def new_departures(services: PeopleServices) -> SqlDepartures:
    """Return the store of what people decide about their data."""
    return SqlDepartures(services.one(new_store))


def new_documents(services: PeopleServices) -> OwnDocuments:
    """Return the documents that people accept. May raise SettingsError."""
    return load_documents(services.settings)


def new_privacy(services: PeopleServices) -> Privacy:
    """Return what people decide about their data. May raise SettingsError."""
    documents = services.one(new_documents)
    return Privacy(services.one(new_departures), services.one(new_store), documents.history)


def new_sessions(services: PeopleServices) -> RedisSessions:
    """Return the store of sessions."""
    return RedisSessions(services.stores.redis, secrets.token_bytes)


def new_browsers(services: PeopleServices) -> BrowserSessions:
    """Return what finds out who is signed in with a session. May raise SettingsError."""
    return BrowserSessions(
        services.one(new_store),
        services.one(new_sessions),
        services.stores.accounts,
        services.stores.key_epochs,
        utc_now,
        time.monotonic_ns,
        missing=services.one(new_privacy).missing,
    )


def new_holders(services: PeopleServices) -> Holders:
    """Return what finds the person who is signed in by a request's cookie.

    May raise SettingsError.
    """
    settings = services.settings
    return Holders(services.one(new_browsers), Cookies(settings.origin), settings.own_origins)


def new_address_countries(services: PeopleServices) -> AddressCountries | None:
    """Return what tells in which country an address is; None if the operator has set no file.

    May raise SettingsError.
    """
    return read_countries(services.settings.address_countries)


def new_hasher(_services: PeopleServices) -> PasswordProcess:
    """Return the process that hashes passwords; it has to be started."""
    return PasswordProcess()


def secret_box(settings: Settings) -> SecretBox | None:
    """Return what seals the secrets of second factors; None without a key that nodes share."""
    keys = secret_keys(settings)
    return SecretBox(keys, secrets.token_bytes) if keys else None


def new_factors(services: PeopleServices) -> SqlSecondFactors:
    """Return the store of second factors."""
    return SqlSecondFactors(services.one(new_store), secret_box(services.settings))


def new_ceremonies(services: PeopleServices) -> RedisCeremonies:
    """Return the store of what browsers do in more than one step."""
    redis, settings = services.stores.redis, services.settings
    return RedisCeremonies(redis, secrets.token_bytes, secret_box(settings))
