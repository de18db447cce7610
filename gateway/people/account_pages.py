"""Serves `/account`: an overview, password, address, language, and the signed-in browsers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response

from billing.money import format_money
from database.errors import StoreUnavailableError
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import Faults, SessionOver
from gateway.http.sessions import BrowserSessions, OpenSession, SignedIn
from gateway.http.site.countries import country_name
from gateway.http.site.door import ACCOUNT, CONFIRM, SIGN_IN, Door, language_of, said_in, see
from gateway.http.site.forms import Nothing, read_form
from gateway.http.site.pages import Errors
from gateway.http.site.words import WORDS
from gateway.people.address import Addresses
from gateway.people.forms import (
    PASSWORD_BUSY,
    AddressFields,
    LanguageFields,
    PasswordFields,
    SessionFields,
)
from gateway.people.password import Passwords, PasswordSet
from gateway.people.privacy import Privacy
from gateway.people.sign_out import SignOut
from gateway.people.sign_up import LookIntoMail

PASSWORD, ADDRESS, DEVICES = "/account/password", "/account/address", "/account/devices"
LANGUAGE = "/account/language"

BalanceOf = Callable[[str], Awaitable[int]]
"""Returns an account's balance in micros. Raises StoreUnavailableError."""


async def _stays(_account_id: str) -> bool:
    """Return that the account is not being deleted, for deployments where it cannot be."""
    return False


@dataclass(frozen=True, slots=True)
class AccountPage:
    """An overview of a person's account."""

    template: ClassVar[str] = "account.html"
    email: str
    is_proven: bool
    balance: str
    """As money; empty if it is unavailable."""
    account_id: str
    said: str = ""
    languages: Sequence[tuple[str, str]] = ()
    """Code and own name of each language."""
    barred: Sequence[str] = ()
    """Why it places no calls: "leaving", "restricted", or "frozen" if someone else did it."""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangePasswordPage:
    """The form for a new password."""

    template: ClassVar[str] = "change_password.html"
    email: str
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangeAddressPage:
    """The form for a new e-mail address."""

    template: ClassVar[str] = "change_address.html"
    current: str
    email: str = ""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser, and the name of its country, if known."""

    name: str
    browser: str
    system: str
    country: str
    began_at: datetime
    seen_at: datetime
    is_own: bool


@dataclass(frozen=True, slots=True)
class DevicesPage:
    """Where a person is signed in."""

    template: ClassVar[str] = "devices.html"
    sessions: Sequence[SessionRow]
    said: str = ""


@dataclass(frozen=True, slots=True)
class AccountPages:
    """Handlers of the signed-in person's pages."""

    door: Door
    passwords: Passwords
    addresses: Addresses
    sessions: BrowserSessions
    sign_outs: SignOut
    balance_of: BalanceOf
    privacy: Privacy
    is_leaving: Callable[[str], Awaitable[bool]] = _stays
    """Returns whether an account is going to be deleted. Raises StoreUnavailableError."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(ACCOUNT, self.show),
            own(LANGUAGE, self.set_language, method="POST", page=ACCOUNT, before_terms=True),
            own("/account/proof", self.send_proof, method="POST", page=ACCOUNT),
            own(PASSWORD, self.show_password, step_up=True),
            own(PASSWORD, self.change_password, method="POST", step_up=True),
            own(ADDRESS, self.show_address, step_up=True),
            own(ADDRESS, self.change_address, method="POST", step_up=True),
            own(DEVICES, self.show_devices),
            own(f"{DEVICES}/end", self.end_one, method="POST", page=DEVICES),
            own(f"{DEVICES}/end-others", self.end_others, method="POST", page=DEVICES),
            own(f"{DEVICES}/end-all", self.end_all, method="POST", page=DEVICES),
        ]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show the account."""
        return await self._show(request, who, {})

    async def _show(self, request: Request, who: SignedIn, errors: Errors) -> Response:
        account = who.account
        try:
            balance = format_money(await self.balance_of(account.id), account.currency)
        except StoreUnavailableError:
            balance = ""
        page = AccountPage(
            email=who.holder.email,
            is_proven=who.holder.is_proven,
            balance=balance,
            account_id=account.id,
            said=said_in(request),
            languages=[(code, words["site.language"]) for code, words in sorted(WORDS.items())],
            barred=await self._barred(who),
            errors=errors,
        )
        return self.door.show(request, page, status=422 if errors else 200)

    async def _barred(self, who: SignedIn) -> list[str]:
        found = ["leaving"] if await self.is_leaving(who.account.id) else []
        if who.holder.choices.restricted_at is not None:
            found.append("restricted")
        return found or ["frozen"] * who.account.frozen

    async def set_language(self, request: Request, who: SignedIn) -> Response:
        """Set the language of pages and mails."""
        fields = await read_form(request, LanguageFields)
        if fields.language not in WORDS:
            return await self._show(request, who, {"language": "choice_unknown"})
        if await self.privacy.set_language(who, fields.language) is not None:
            return await self.door.sign_in_first(request, ACCOUNT)
        # No message if it was that language already.
        is_other = fields.language != who.holder.language
        return see(ACCOUNT, said="language_set" if is_other else "")

    async def send_proof(self, request: Request, who: SignedIn) -> Response:
        """Send the mail that proves the address again."""
        await read_form(request, Nothing)
        if isinstance(await self.addresses.send_proof(who), SessionOver):
            return await self.door.sign_in_first(request, ACCOUNT)
        return see(ACCOUNT, said="" if who.holder.is_proven else "sent")

    async def show_password(self, request: Request, who: SignedIn) -> Response:
        """Show the form for a new password."""
        return self.door.show(request, ChangePasswordPage(who.holder.email))

    async def change_password(self, request: Request, who: SignedIn) -> Response:
        """Set a new password; this browser stays signed in under another session id."""
        fields = await read_form(request, PasswordFields)
        self.door.if_busy(request, ChangePasswordPage(who.holder.email, PASSWORD_BUSY))
        outcome = await self.passwords.change(who, fields.password)
        match outcome:
            case Faults(by_field):
                page = ChangePasswordPage(who.holder.email, by_field)
                return self.door.show(request, page, status=422)
            case PasswordSet(session_secret=""):
                return see(SIGN_IN, said="password_set")
            case PasswordSet(session_secret=secret):
                response = see(ACCOUNT, said="password_changed")
                self.door.holders.cookies.set_session(response, secret)
                return response
            case SessionOver():
                return await self.door.sign_in_first(request, PASSWORD)
        return see(CONFIRM, next=PASSWORD)

    async def show_address(self, request: Request, who: SignedIn) -> Response:
        """Show the form for a new address."""
        return self.door.show(request, ChangeAddressPage(who.holder.email))

    async def change_address(self, request: Request, who: SignedIn) -> Response:
        """Send the link that changes the address."""
        fields = await read_form(request, AddressFields)
        outcome = await self.addresses.ask_for_change(who, fields.email)
        match outcome:
            case Faults(by_field):
                page = ChangeAddressPage(who.holder.email, fields.email, by_field)
                return self.door.show(request, page, status=422)
            case LookIntoMail():
                return see(ACCOUNT, said="change_asked")
            case SessionOver():
                return await self.door.sign_in_first(request, ADDRESS)
        return see(CONFIRM, next=ADDRESS)

    async def show_devices(self, request: Request, who: SignedIn) -> Response:
        """List the browsers that are signed in."""
        language = language_of(request)
        rows = [_row(each, language) for each in await self.sessions.open(who)]
        return self.door.show(request, DevicesPage(rows, said_in(request)))

    async def end_one(self, request: Request, who: SignedIn) -> Response:
        """Sign one browser out."""
        fields = await read_form(request, SessionFields)
        if isinstance(await self.sessions.end_one(who, fields.name), SessionOver):
            return await self.door.sign_in_first(request, DEVICES)
        return see(DEVICES, said="session_ended")

    async def end_others(self, request: Request, who: SignedIn) -> Response:
        """Sign all other browsers out; this one stays signed in under another session id."""
        await read_form(request, Nothing)
        secret = await self.sign_outs.end_others(who)
        if isinstance(secret, SessionOver):
            return await self.door.sign_in_first(request, DEVICES)
        response = see(DEVICES, said="others_ended")
        self.door.holders.cookies.set_session(response, secret)
        return response

    async def end_all(self, request: Request, who: SignedIn) -> Response:
        """Sign all browsers out, including this one."""
        await read_form(request, Nothing)
        await self.sign_outs.end_everywhere(who)
        response = see(SIGN_IN, said="signed_out")
        self.door.holders.cookies.drop_session(response)
        return response


def _row(each: OpenSession, language: str) -> SessionRow:
    session, device = each.session, each.device
    return SessionRow(
        name=each.name,
        browser=device.browser if device else "",
        system=device.system if device else "",
        country=country_name(device.country, language) if device else "",
        began_at=session.began_at,
        seen_at=session.seen_at,
        is_own=each.is_own,
    )
