"""Composes what people do with accounts: stores, flows and pages."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from accounts.stores.ceremonies import RedisCeremonies
from accounts.stores.secret_box import SecretBox
from accounts.stores.sessions import RedisSessions
from billing.clock import utc_now
from gateway.apps import template_packages
from gateway.http.access import DeclaredRoute
from gateway.http.cookies import Cookies
from gateway.http.holders import Holders
from gateway.http.site.account import AccountPages
from gateway.http.site.country_pages import CountryPages
from gateway.http.site.data import DataPages
from gateway.http.site.documents import DocumentPages
from gateway.http.site.door import Door
from gateway.http.site.leaving import LeavingPages
from gateway.http.site.links import LinkPages
from gateway.http.site.own_documents import OwnDocuments
from gateway.http.site.passkeys import PasskeyPages
from gateway.http.site.privacy import PrivacyPages
from gateway.http.site.rendering import Pages
from gateway.http.site.restriction import RestrictionPages
from gateway.http.site.security import SecurityPages
from gateway.http.site.sign_in import SignInPages
from gateway.http.site.sign_in_code import SignInCodePages
from gateway.http.site.sign_up import SignUpPages
from gateway.people.address import Addresses
from gateway.people.answer_moment import AnswerMoment
from gateway.people.codes import Codes
from gateway.people.countries import Countries
from gateway.people.enrolment import Enrolment
from gateway.people.exports import OwnExports
from gateway.people.leaving import Amount, Leaving
from gateway.people.links import Links
from gateway.people.passkey_proofs import PasskeyProofs, RelyingParty
from gateway.people.passkeys import Passkeys
from gateway.people.password import Passwords
from gateway.people.password_policy import PasswordPolicy
from gateway.people.privacy import Privacy
from gateway.people.sessions import BrowserSessions
from gateway.people.sign_in import SignIn
from gateway.people.sign_out import SignOut
from gateway.people.sign_up import SignUp
from gateway.personal_data.people import SqlPeople
from gateway.personal_data.rows import SqlPersonalRows
from gateway.ports import Velocity
from gateway.roles.branding import load_branding
from gateway.roles.documents import load_documents
from gateway.settings import Settings
from gateway.stores.address_countries import AddressCountries, read_countries
from gateway.stores.departures import SqlDepartures
from gateway.stores.exports import SqlExports
from gateway.stores.holder_countries import SqlHolderCountries
from gateway.stores.mail_outbox import queue_notice
from gateway.stores.opened import Stores
from gateway.stores.passkeys import SqlPasskeys
from gateway.stores.password_process import PasswordProcess
from gateway.stores.second_factors import SqlSecondFactors
from gateway.stores.secret_keys import secret_keys
from gateway.stores.sent_answers import SqlAnsweredForms
from gateway.stores.wishes import RedisWishes
from gateway.words.data_map import Kept

ChargeNow = Callable[[str], Awaitable[None]]
"""Charges an account's calls here now, and ends those of a frozen one."""

_ACCOUNT_ID_BYTES = 10
_SECRET_BYTES = 32
_EXPORT_ID_BYTES = 12


@dataclass(frozen=True, slots=True)
class People:
    """The stores of people, the lookup of signed-in people, and their pages."""

    people: SqlPeople
    factors: SqlSecondFactors
    passkeys: SqlPasskeys
    departures: SqlDepartures
    privacy: Privacy
    sessions: RedisSessions
    ceremonies: RedisCeremonies
    hasher: PasswordProcess
    browsers: BrowserSessions
    holders: Holders
    pages: Pages
    documents: OwnDocuments
    countries: AddressCountries | None
    """Tells in which country an address is; None if the operator has set no file."""
    can_seal: bool
    """Whether there is a key to seal second factors with."""
    forms: SqlAnsweredForms

    async def close(self) -> None:
        """End the process that hashes passwords."""
        await self.hasher.close()


def compose_people(
    settings: Settings, stores: Stores, charge_now: ChargeNow | None = None
) -> People:
    """Return the stores of people, which all processes of a deployment share.

    `charge_now` ends the calls of a frozen account at once, instead of within a second. Raises
    SettingsError.
    """

    async def freeze(account_id: str, is_frozen: bool) -> None:
        await stores.gate.freeze(account_id, is_frozen)
        if charge_now is not None:
            await charge_now(account_id)

    people = SqlPeople(
        stores.engine, queue_notice, on_epoch=stores.key_epochs.invalidate, on_freeze=freeze
    )
    departures = SqlDepartures(people)
    documents = load_documents(settings)
    privacy = Privacy(departures, people, documents.history)
    box = _secret_box(settings)
    sessions = RedisSessions(stores.redis, secrets.token_bytes)
    browsers = BrowserSessions(
        people,
        sessions,
        stores.accounts,
        stores.key_epochs,
        utc_now,
        time.monotonic_ns,
        missing=privacy.missing,
    )
    holders = Holders(browsers, Cookies(settings.origin), settings.own_origins)
    pages = Pages(load_branding(settings), template_packages())
    return People(
        people,
        SqlSecondFactors(people, box),
        SqlPasskeys(people),
        departures,
        privacy,
        sessions,
        RedisCeremonies(stores.redis, secrets.token_bytes, box),
        PasswordProcess(),
        browsers,
        holders,
        pages,
        documents,
        read_countries(settings.address_countries),
        can_seal=box is not None,
        forms=SqlAnsweredForms(RedisWishes(stores.redis, secret=settings.shared_secret)),
    )


def new_door(kept: People, velocity: Velocity) -> Door:
    """Return what all pages are opened through."""
    opens = (kept.holders, kept.pages, utc_now, velocity, kept.forms)
    return Door(*opens) if kept.countries is None else Door(*opens, kept.countries.country)


def _secret_box(settings: Settings) -> SecretBox | None:
    """Return what seals the secrets of second factors; None without a key that nodes share."""
    keys = secret_keys(settings)
    return SecretBox(keys, secrets.token_bytes) if keys else None


def people_routes(
    settings: Settings,
    stores: Stores,
    velocity: Velocity,
    kept: People,
    door: Door,
    *,
    refundable_of: Amount | None = None,
) -> Sequence[DeclaredRoute]:
    """Return the routes of the pages of people.

    `refundable_of` tells how much of an account's credit can go back to cards, if cards are taken.
    """
    people, sessions, hasher, browsers = kept.people, kept.sessions, kept.hasher, kept.browsers
    policy = PasswordPolicy(hasher, settings.service_name)
    pages, documents = kept.pages, kept.documents
    how_long = Kept(settings.calls_kept_months, settings.books_kept_years)
    is_open = settings.sign_up == "open"
    moment = AnswerMoment(time.monotonic_ns, asyncio.sleep)
    sign_up = SignUp(
        people,
        hasher,
        policy,
        velocity,
        _new_account_id,
        settings.currency,
        moment,
        documents.history,
    )
    factors, ceremonies = kept.factors, kept.ceremonies
    codes = Codes(people, factors, velocity, utc_now)
    sign_in = SignIn(
        people,
        sessions,
        hasher,
        velocity,
        utc_now,
        _new_secret,
        factors,
        ceremonies,
        codes,
    )
    enrolment = Enrolment(
        factors,
        ceremonies,
        sessions,
        codes,
        velocity,
        utc_now,
        secrets.token_bytes,
        service=settings.service_name,
    )
    passkeys = Passkeys(
        people,
        kept.passkeys,
        sessions,
        ceremonies,
        sign_in,
        PasskeyProofs(relying_party(settings)),
        velocity,
        utc_now,
        secrets.token_bytes,
    )
    passwords = Passwords(people, sessions, hasher, policy, velocity, utc_now, moment)
    addresses = Addresses(people, velocity, utc_now, sign_in)
    leaving = Leaving(kept.departures, utc_now, stores.gate.balance, refundable_of)
    links = Links(people, sessions, velocity, utc_now, leaving)
    sign_outs = SignOut(people, sessions, velocity)
    rows = SqlPersonalRows(stores.engine)
    own_exports = OwnExports(SqlExports(stores.engine), utc_now, _new_export_id)

    async def is_leaving(account_id: str) -> bool:
        return await kept.departures.deletion(account_id) is not None

    return [
        *SignUpPages(door, sign_up, is_open).routes(),
        *SignInPages(door, sign_in, browsers, passkeys, is_open).routes(),
        *SignInCodePages(door, sign_in).routes(),
        *SecurityPages(door, enrolment, passkeys, kept.can_seal).routes(),
        *PasskeyPages(door, passkeys).routes(),
        *LinkPages(door, links, passwords, sign_in, addresses).routes(),
        *AccountPages(
            door,
            passwords,
            addresses,
            browsers,
            sign_outs,
            stores.gate.balance,
            kept.privacy,
            is_leaving,
        ).routes(),
        *LeavingPages(door, leaving, how_long).routes(),
        *PrivacyPages(door, kept.privacy, documents, utc_now).routes(),
        *RestrictionPages(door, kept.privacy).routes(),
        *CountryPages(door, _countries(settings, stores)).routes(),
        *DataPages(door, rows, browsers, own_exports, how_long).routes(),
        *DocumentPages(door, documents, how_long).routes(),
        *pages.routes(),
    ]


def relying_party(settings: Settings) -> RelyingParty:
    """Return the relying party that asks browsers for passkeys: the host of our pages."""
    host = urlsplit(settings.origin).hostname or ""
    if host == "127.0.0.1":
        # Browsers do not accept an IP address as a host, but the same machine by its name.
        host = "localhost"
    return RelyingParty("" if _is_ip(host) else host, settings.service_name, settings.own_origins)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _countries(settings: Settings, stores: Stores) -> Countries:
    kept = SqlHolderCountries(stores.engine, queue_notice, on_change=stores.key_epochs.invalidate)
    home = frozenset(settings.home_countries)
    return Countries(kept, home, settings.countries_opened_day_max, utc_now)


def _new_account_id() -> str:
    return secrets.token_hex(_ACCOUNT_ID_BYTES)


def _new_export_id() -> str:
    return secrets.token_hex(_EXPORT_ID_BYTES)


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)
