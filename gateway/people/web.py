"""Builds the pages in which people manage their account."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from billing.clock import utc_now
from gateway.app import WebServices
from gateway.http.access import DeclaredRoute
from gateway.http.site.door import Door
from gateway.http.site.forms import new_once
from gateway.people import (
    account_pages,
    country_pages,
    data_pages,
    document_pages,
    key_pages,
    leaving_pages,
    link_pages,
    privacy_pages,
    security_pages,
    sign_in_pages,
    sign_up_pages,
)
from gateway.people.address import Addresses
from gateway.people.answer_moment import AnswerMoment
from gateway.people.build import (
    new_browsers,
    new_ceremonies,
    new_departures,
    new_documents,
    new_factors,
    new_hasher,
    new_privacy,
    new_sessions,
    new_store,
    secret_box,
)
from gateway.people.codes import Codes
from gateway.people.countries import Countries
from gateway.people.country_store import SqlHolderCountries
from gateway.people.enrolment import Enrolment
from gateway.people.export_store import SqlExports
from gateway.people.exports import OwnExports
from gateway.people.key_store import SqlHolderKeys
from gateway.people.keys import Keys
from gateway.people.leaving import Leaving
from gateway.people.links import Links
from gateway.people.passkey_pages import PasskeyPages
from gateway.people.passkey_proofs import PasskeyProofs, RelyingParty
from gateway.people.passkey_store import SqlPasskeys
from gateway.people.passkeys import Passkeys
from gateway.people.password import Passwords
from gateway.people.password_policy import PasswordPolicy
from gateway.people.sign_in import SignIn
from gateway.people.sign_out import SignOut
from gateway.people.sign_up import SignUp
from gateway.settings import Settings
from gateway.stores.mail_outbox import queue_notice
from gateway.words.data_map import Kept

_ACCOUNT_ID_BYTES: Final = 10
_SECRET_BYTES: Final = 32
_EXPORT_ID_BYTES: Final = 12

PAGES: Final[tuple[type, ...]] = (
    account_pages.AccountPage,
    account_pages.ChangePasswordPage,
    account_pages.ChangeAddressPage,
    account_pages.DevicesPage,
    country_pages.CountriesPage,
    data_pages.DataPage,
    document_pages.TermsPage,
    document_pages.PrivacyPage,
    key_pages.KeysPage,
    key_pages.NewKeyPage,
    key_pages.KeyMadePage,
    leaving_pages.DeletePage,
    link_pages.LinkPage,
    link_pages.ResetPage,
    link_pages.ProofPage,
    link_pages.TakeAddressPage,
    link_pages.NewPasswordPage,
    link_pages.DeadLinkPage,
    link_pages.AddressTakenPage,
    privacy_pages.ChoicesPage,
    privacy_pages.RestrictionPage,
    privacy_pages.RequestsPage,
    privacy_pages.AcceptTermsPage,
    security_pages.SecurityPage,
    security_pages.SecondFactorPage,
    security_pages.RecoveryCodesPage,
    sign_in_pages.SignInPage,
    sign_in_pages.SignInCodePage,
    sign_in_pages.ConfirmPage,
    sign_up_pages.SignUpPage,
    sign_up_pages.SignUpDonePage,
)
"""The context of each page."""


def new_sign_in(services: WebServices) -> SignIn:
    """Return what signs people in."""
    return SignIn(
        services.one(new_store),
        services.one(new_sessions),
        services.one(new_hasher),
        services.velocity,
        utc_now,
        _new_secret,
        services.one(new_factors),
        services.one(new_ceremonies),
        services.one(new_codes),
    )


def new_codes(services: WebServices) -> Codes:
    """Return what checks the codes of second factors."""
    return Codes(services.one(new_store), services.one(new_factors), services.velocity, utc_now)


def new_password_policy(services: WebServices) -> PasswordPolicy:
    """Return what judges new passwords."""
    return PasswordPolicy(services.one(new_hasher), services.settings.service_name)


def new_answer_moment(_services: WebServices) -> AnswerMoment:
    """Return when forms are answered that take an address."""
    return AnswerMoment(time.monotonic_ns, asyncio.sleep)


def new_sign_up(services: WebServices) -> SignUp:
    """Return what signs people up."""
    return SignUp(
        services.one(new_store),
        services.one(new_hasher),
        services.one(new_password_policy),
        services.velocity,
        _new_account_id,
        services.settings.currency,
        services.one(new_answer_moment),
        services.one(new_documents).history,
    )


def new_enrolment(services: WebServices) -> Enrolment:
    """Return what adds and removes second factors."""
    return Enrolment(
        services.one(new_factors),
        services.one(new_ceremonies),
        services.one(new_sessions),
        services.one(new_codes),
        services.velocity,
        utc_now,
        secrets.token_bytes,
        service=services.settings.service_name,
    )


def new_passkeys(services: WebServices) -> Passkeys:
    """Return what people do with passkeys."""
    people = services.one(new_store)
    return Passkeys(
        people,
        SqlPasskeys(people),
        services.one(new_sessions),
        services.one(new_ceremonies),
        services.one(new_sign_in),
        PasskeyProofs(relying_party(services.settings)),
        services.velocity,
        utc_now,
        secrets.token_bytes,
    )


def new_passwords(services: WebServices) -> Passwords:
    """Return what changes passwords."""
    return Passwords(
        services.one(new_store),
        services.one(new_sessions),
        services.one(new_hasher),
        services.one(new_password_policy),
        services.velocity,
        utc_now,
        services.one(new_answer_moment),
    )


def new_addresses(services: WebServices) -> Addresses:
    """Return what changes addresses."""
    people, sign_in = services.one(new_store), services.one(new_sign_in)
    return Addresses(people, services.velocity, utc_now, sign_in)


def new_leaving(services: WebServices) -> Leaving:
    """Return how people leave."""
    balance_of, refundable_of = services.stores.gate.balance, services.refundable_of
    return Leaving(services.one(new_departures), utc_now, balance_of, refundable_of)


def new_countries(services: WebServices) -> Countries:
    """Return what opens and closes countries."""
    settings, stores = services.settings, services.stores
    kept = SqlHolderCountries(stores.engine, queue_notice, on_change=stores.key_epochs.invalidate)
    home = frozenset(settings.home_countries)
    return Countries(kept, home, settings.countries_opened_day_max, utc_now)


def new_keys(services: WebServices) -> Keys:
    """Return what people do with their API keys."""
    stores = services.stores
    kept = SqlHolderKeys(stores.engine, stores.key_epochs.invalidate)
    return Keys(kept, services.velocity, utc_now)


def page_routes(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    """Return the routes of the pages of people. May raise SettingsError."""
    return [
        *_routes_to_an_account(services, door),
        *_routes_of_an_account(services, door),
        *_routes_of_data(services, door),
    ]


def _routes_to_an_account(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    """Return those of sign-up, sign-in and links in mails."""
    is_open = services.settings.sign_up == "open"
    sign_in, passkeys = services.one(new_sign_in), services.one(new_passkeys)
    browsers, sessions = services.one(new_browsers), services.one(new_sessions)
    people, leaving = services.one(new_store), services.one(new_leaving)
    links = Links(people, sessions, services.velocity, utc_now, leaving)
    passwords, addresses = services.one(new_passwords), services.one(new_addresses)
    sign_up = services.one(new_sign_up)
    return [
        *sign_up_pages.SignUpPages(door, sign_up, is_open).routes(),
        *sign_in_pages.SignInPages(door, sign_in, browsers, passkeys, is_open).routes(),
        *sign_in_pages.SignInCodePages(door, sign_in).routes(),
        *link_pages.LinkPages(door, links, passwords, sign_in, addresses).routes(),
    ]


def _routes_of_an_account(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    """Return those of an account, what proves whose it is, and what it may do."""
    people, passkeys = services.one(new_store), services.one(new_passkeys)
    departures, velocity = services.one(new_departures), services.velocity
    can_seal = secret_box(services.settings) is not None

    async def is_leaving(account_id: str) -> bool:
        return await departures.deletion(account_id) is not None

    account = account_pages.AccountPages(
        door,
        services.one(new_passwords),
        services.one(new_addresses),
        services.one(new_browsers),
        SignOut(people, services.one(new_sessions), velocity),
        services.stores.gate.balance,
        services.one(new_privacy),
        is_leaving,
    )
    security = security_pages.SecurityPages(door, services.one(new_enrolment), passkeys, can_seal)
    return [
        *account.routes(),
        *security.routes(),
        *PasskeyPages(door, passkeys).routes(),
        *key_pages.KeyPages(door, services.one(new_keys), new_once).routes(),
        *country_pages.CountryPages(door, services.one(new_countries)).routes(),
    ]


def _routes_of_data(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    """Return those of what is stored about a person, and of the documents about it."""
    settings, browsers = services.settings, services.one(new_browsers)
    how_long = Kept(settings.calls_kept_months, settings.books_kept_years)
    privacy, documents = services.one(new_privacy), services.one(new_documents)
    exports = OwnExports(SqlExports(services.stores.engine), utc_now, _new_export_id)
    data = data_pages.DataPages(door, services.rows_of_people, browsers, exports, how_long)
    return [
        *leaving_pages.LeavingPages(door, services.one(new_leaving), how_long).routes(),
        *privacy_pages.PrivacyPages(door, privacy, documents, utc_now).routes(),
        *privacy_pages.RestrictionPages(door, privacy).routes(),
        *data.routes(),
        *document_pages.DocumentPages(door, documents, how_long).routes(),
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


def _new_account_id() -> str:
    return secrets.token_hex(_ACCOUNT_ID_BYTES)


def _new_export_id() -> str:
    return secrets.token_hex(_EXPORT_ID_BYTES)


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)
