"""Serves `/l/{secret}`, where the links in mails lead, and `/reset`, where one is requested.

A GET only shows what a link will do, because mail scanners open links.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import Response

from accounts.link import Link, Purpose
from accounts.sign_in import SignInAnswer
from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import Faults
from gateway.http.sessions import SignedIn
from gateway.http.site.door import ACCOUNT, PHONE, SIGN_IN, Door, language_of, said_in, see
from gateway.http.site.forms import Nothing, read_form
from gateway.people.address import Addresses, AddressTaken, Taken
from gateway.people.forms import PASSWORD_BUSY, AddressFields, PasswordFields
from gateway.people.links import Links, LinkUsed
from gateway.people.password import LinkDead, Passwords
from gateway.people.sign_in import CodeNeeded, NotYet, SignIn, Welcome
from gateway.people.sign_in_pages import ask_for_code, let_in

RESET = "/reset"
_SECRET_CHARS_MAX: Final = 128

_SAID: Final = {
    Purpose.UNDO_CHANGE: "locked",
    Purpose.NOT_ME: "locked",
    Purpose.CANCEL_DELETION: "deletion_cancelled",
}
"""The message after a link was used that needs only a click."""


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What a link will do after one click, and the button for it; or what it has done."""

    template: ClassVar[str] = "link.html"
    purpose: str
    email: str
    is_frozen: bool = False
    """Whether an account whose deletion ends stays frozen for another reason."""
    said: str = ""
    """What it has done, for a browser in which someone else is signed in."""


@dataclass(frozen=True, slots=True)
class ResetPage:
    """The form for a person who has forgotten the password."""

    template: ClassVar[str] = "reset.html"
    said: str = ""
    email: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProofPage:
    """The form of a link that proves the address: it takes the account's password."""

    template: ClassVar[str] = "proof.html"
    email: str
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TakeAddressPage:
    """The form of a link that changes the address."""

    template: ClassVar[str] = "take_address.html"
    email: str
    needs_password: bool
    """Whether no one is signed in to the account that requested it."""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewPasswordPage:
    """The form of a link that resets the password."""

    template: ClassVar[str] = "new_password.html"
    email: str
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLinkPage:
    """A link that no longer works."""

    template: ClassVar[str] = "dead_link.html"


@dataclass(frozen=True, slots=True)
class AddressTakenPage:
    """A link to an address that belongs to another account by now."""

    template: ClassVar[str] = "address_taken.html"
    email: str


@dataclass(frozen=True, slots=True)
class LinkPages:
    """Handlers of links in mails."""

    door: Door
    links: Links
    passwords: Passwords
    sign_in: SignIn
    addresses: Addresses

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        return [
            self.door.page("/l/{secret}", self.show),
            self.door.form("/l/{secret}", self.use),
            self.door.page(RESET, self.show_reset),
            self.door.form(RESET, self.ask_for_reset),
        ]

    async def show(self, request: Request) -> Response:
        """Show what a link will do."""
        link = await self._look(request)
        if link is None:
            return await self._dead(request)
        if link.purpose is Purpose.RESET_PASSWORD:
            return self.door.show(request, NewPasswordPage(link.email))
        if link.purpose is Purpose.PROVE_ADDRESS:
            return self.door.show(request, ProofPage(link.email))
        if link.purpose is Purpose.CHANGE_ADDRESS:
            needs_password = await self._own_session(request, link) is None
            return self.door.show(request, TakeAddressPage(link.email, needs_password))
        is_frozen = await self._stays_frozen(link)
        return self.door.show(request, LinkPage(link.purpose, link.email, is_frozen))

    async def use(self, request: Request) -> Response:
        """Do what a link is for."""
        link = await self._look(request)
        if link is None:
            return await self._dead(request)
        match link.purpose:
            case Purpose.RESET_PASSWORD:
                return await self._reset(request, link)
            case Purpose.PROVE_ADDRESS:
                return await self._prove(request, link)
            case Purpose.CHANGE_ADDRESS:
                return await self._take_address(request, link)
            case Purpose.SIGN_IN:
                return await self._sign_in(request)
        return await self._use(request, link)

    async def _use(self, request: Request, link: Link) -> Response:
        await read_form(request, Nothing)
        is_elsewhere = await self._is_elsewhere(request, link)
        said = _SAID[link.purpose] + ("_frozen" if await self._stays_frozen(link) else "")
        outcome = await self.links.use(request.path_params["secret"])
        if not isinstance(outcome, LinkUsed):
            return await self._dead(request)
        if not is_elsewhere:
            return see(SIGN_IN, said=said)
        # This page must show nothing of the signed-in person: it looks the same as the one before.
        request.state.is_signed_in, request.state.language = None, ""
        return self.door.show(request, LinkPage(link.purpose, link.email, said=said))

    async def _stays_frozen(self, link: Link) -> bool:
        """Return whether the account is frozen for another reason than the deletion that ends."""
        if link.purpose is not Purpose.CANCEL_DELETION:
            return False
        return await self.links.stays_frozen(link.account_id)

    async def _reset(self, request: Request, link: Link) -> Response:
        fields = await read_form(request, PasswordFields)
        await self.sign_in.check_ready(link.account_id)
        self.door.if_busy(request, NewPasswordPage(link.email, PASSWORD_BUSY))
        reset = await self.passwords.reset(
            request.path_params["secret"], fields.password, language_of(request)
        )
        match reset:
            case LinkDead():
                return await self._dead(request)
            case Faults(by_field):
                page = NewPasswordPage(link.email, by_field)
                return self.door.show(request, page, status=422)
        # Not through the sign-in, whose tries strangers may have used up.
        match await self.sign_in.after_password(reset, self.door.visitor(request), by_link=True):
            case Welcome() as welcome:
                return await let_in(self.door, request, welcome, ACCOUNT, said="password_changed")
            case CodeNeeded() as needed:
                return ask_for_code(self.door, needed, ACCOUNT)
        return see(SIGN_IN, said="password_set")

    async def _prove(self, request: Request, link: Link) -> Response:
        fields = await read_form(request, PasswordFields)
        secret, visitor = request.path_params["secret"], self.door.visitor(request)
        self.door.if_busy(request, ProofPage(link.email, errors=PASSWORD_BUSY))
        outcome = await self.sign_in.by_proof(secret, fields.password, visitor)
        match outcome:
            case Welcome():
                return await let_in(self.door, request, outcome, ACCOUNT, said="address_proven")
            case CodeNeeded():
                return ask_for_code(self.door, outcome, ACCOUNT)
            case LinkDead():
                return await self._dead(request)
            case NotYet(SignInAnswer.BEGIN_AGAIN):
                return see(SIGN_IN)
            case NotYet(SignInAnswer.LOCKED):
                page = ProofPage(link.email, said="account_locked")
            case _:
                page = ProofPage(link.email, errors={"password": "password_wrong"})
        return self.door.show(request, page, status=422)

    async def _sign_in(self, request: Request) -> Response:
        await read_form(request, Nothing)
        secret, visitor = request.path_params["secret"], self.door.visitor(request)
        match await self.sign_in.by_link(secret, visitor):
            case Welcome() as outcome:
                return await let_in(self.door, request, outcome, PHONE)
            case LinkDead():
                return await self._dead(request)
        return see(SIGN_IN)

    async def _take_address(self, request: Request, link: Link) -> Response:
        fields = await read_form(request, PasswordFields)
        secret, who = request.path_params["secret"], await self._own_session(request, link)
        outcome: Taken | NotYet
        if who is not None:
            outcome = await self.addresses.take_signed_in(secret, who)
        else:
            page = TakeAddressPage(link.email, needs_password=True, errors=PASSWORD_BUSY)
            self.door.if_busy(request, page)
            visitor = self.door.visitor(request)
            outcome = await self.addresses.take_by_password(secret, fields.password, visitor)
        match outcome:
            case LinkUsed():
                following = SIGN_IN if who is None else ACCOUNT
                return see(following, said="address_changed")
            case AddressTaken(email):
                return self.door.show(request, AddressTakenPage(email), status=409)
            case NotYet():
                errors = {"password": "password_of_account_wrong"}
                page = TakeAddressPage(link.email, needs_password=True, errors=errors)
                return self.door.show(request, page, status=422)
        return await self._dead(request)

    async def _is_elsewhere(self, request: Request, link: Link) -> bool:
        """Return whether someone is signed in to another account than the link's."""
        # The link works in any case.
        with suppress(RequestRefusedError, StoreUnavailableError):
            principal = await self.door.who(request)
            return principal is not None and principal.account.id != link.account_id
        return False

    async def _own_session(self, request: Request, link: Link) -> SignedIn | None:
        """Return who is signed in, if it is to the link's account."""
        principal = await self.door.who(request)
        who = principal.signed_in if principal is not None else None
        return who if who is not None and who.session.account_id == link.account_id else None

    async def _look(self, request: Request) -> Link | None:
        secret = request.path_params["secret"]
        # Too long for a link: looked up anyway, so that it counts as an invalid one.
        return await self.links.look(secret[:_SECRET_CHARS_MAX], self.door.visitor(request))

    async def _dead(self, request: Request) -> Response:
        await self.door.recognise(request)
        # 410 even if it never was a link: the two must not be told apart.
        return self.door.show(request, DeadLinkPage(), status=410)

    async def show_reset(self, request: Request) -> Response:
        """Show the form for a forgotten password."""
        return self.door.show(request, ResetPage(said=said_in(request)))

    async def ask_for_reset(self, request: Request) -> Response:
        """Send the link, if there is anyone to send it to."""
        fields = await read_form(request, AddressFields)
        outcome = await self.passwords.ask_for_reset(fields.email, self.door.visitor(request))
        if isinstance(outcome, Faults):
            page = ResetPage(email=fields.email, errors=outcome.by_field)
            return self.door.show(request, page, status=422)
        return see(RESET, said="sent_if_known")
