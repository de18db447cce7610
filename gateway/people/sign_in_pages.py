"""Serves `/sign-in`, its second step `/sign-in/code`, `/sign-out` and `/confirm`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import Response

from accounts.sign_in import SignInAnswer
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import Faults
from gateway.http.sessions import BrowserSessions, SignedIn
from gateway.http.site.door import (
    ACCOUNT,
    CONFIRM,
    SESSION_OVER,
    SIGN_IN,
    SIGN_IN_CODE,
    Door,
    said_in,
    see,
)
from gateway.http.site.forms import Nothing, read_form
from gateway.http.site.pages import Errors
from gateway.people.forms import PASSWORD_BUSY, CodeFields, ConfirmFields, SignInFields
from gateway.people.passkeys import Passkeys
from gateway.people.sign_in import CodeNeeded, NotYet, SignIn, Welcome

FAULTS: Final[Mapping[SignInAnswer, str]] = {
    SignInAnswer.CODE_WRONG: "code_wrong",
    SignInAnswer.CODE_USED: "code_used",
    SignInAnswer.CLOCK_OFF: "code_clock_off",
}
"""What is said beside the field of a code."""


@dataclass(frozen=True, slots=True)
class SignInPage:
    """The form for a person with an account."""

    template: ClassVar[str] = "sign_in.html"
    is_open: bool
    """Whether the page offers to sign up."""
    said: str = ""
    email: str = ""
    next: str = ""
    errors: Errors = field(default_factory=dict)
    passkey_host: str = ""
    """The host that passkeys belong to; empty if there can be none."""


@dataclass(frozen=True, slots=True)
class SignInCodePage:
    """The second step of a sign-in: a code."""

    template: ClassVar[str] = "sign_in_code.html"
    next: str
    is_recovery: bool = False
    """Whether a recovery code is asked for."""
    minutes_fast: int = 0
    """How far the app's clock is off; negative: slow, 0: that is not the problem."""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfirmPage:
    """The password again, and a code, before something that cannot be undone."""

    template: ClassVar[str] = "confirm.html"
    email: str
    next: str
    needs_code: bool
    minutes_fast: int = 0
    """How far the app's clock is off; negative: slow, 0: that is not the problem."""
    errors: Errors = field(default_factory=dict)
    passkey_host: str = ""
    """The host that the person's passkeys belong to; empty if there are none."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class SignInPages:
    """Handlers of the sign-in and the sign-out."""

    door: Door
    flow: SignIn
    sessions: BrowserSessions
    passkeys: Passkeys
    can_sign_up: bool

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        return [
            self.door.page(SIGN_IN, self.show),
            self.door.form(SIGN_IN, self.sign_in),
            self.door.form("/sign-out", self.sign_out),
            # Open before new terms are accepted, because a deletion asks for the password too.
            self.door.own(CONFIRM, self.show_confirm, page=ACCOUNT, before_terms=True),
            self.door.own(CONFIRM, self.confirm, method="POST", page=ACCOUNT, before_terms=True),
        ]

    async def show(self, request: Request) -> Response:
        """Show the form; a signed-in person goes on."""
        said, following = said_in(request), self.door.own_page(request.query_params.get("next", ""))
        if await self.door.who(request) is not None:
            # Whoever was led here by a late request of the session before has the next one.
            return see(following, said="" if said == SESSION_OVER else said)
        host = self.passkeys.proofs.party.id
        page = SignInPage(self.can_sign_up, said, next=following, passkey_host=host)
        return self.door.show(request, page)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session."""
        fields = await read_form(request, SignInFields)
        following = self.door.own_page(fields.next)
        host = self.passkeys.proofs.party.id
        self.door.if_busy(
            request,
            SignInPage(self.can_sign_up, "", fields.email, following, PASSWORD_BUSY, host),
        )
        outcome = await self.flow.by_password(
            fields.email, fields.password, self.door.visitor(request)
        )
        if isinstance(outcome, Welcome):
            return await let_in(self.door, request, outcome, following)
        if isinstance(outcome, CodeNeeded):
            return ask_for_code(self.door, outcome, following)
        errors, said = {}, ""
        match outcome:
            case Faults(by_field):
                errors = dict(by_field)
            case NotYet(SignInAnswer.LOCKED):
                said = "account_locked"
            case NotYet(SignInAnswer.BEGIN_AGAIN):
                said = "session_over"
            case _:
                # Beside no field, so as not to reveal which of the two is wrong.
                errors = {"email": "credentials_wrong"}
        page = SignInPage(self.can_sign_up, said, fields.email, following, errors, host)
        return self.door.show(request, page, status=422)

    async def sign_out(self, request: Request) -> Response:
        """End the session of this browser; without one there is nothing to do."""
        await read_form(request, Nothing)
        cookies = self.door.holders.cookies
        if secret := cookies.session(request):
            await self.sessions.sign_out(secret)
        response = see(SIGN_IN, said="signed_out")
        cookies.drop_session(response)
        return response

    async def show_confirm(self, request: Request, who: SignedIn) -> Response:
        """Ask again for the proofs of a sign-in."""
        following = self.door.own_page(request.query_params.get("next", ""))
        page = await self._confirm_page(who, following)
        return self.door.show(request, replace(page, said=said_in(request)))

    async def confirm(self, request: Request, who: SignedIn) -> Response:
        """Check the password, and a code if there is a second factor, and go on."""
        fields = await read_form(request, ConfirmFields)
        following = self.door.own_page(fields.next)
        visitor = self.door.visitor(request)
        again = await self._confirm_page(who, following)
        self.door.if_busy(request, replace(again, errors=PASSWORD_BUSY))
        outcome = await self.flow.confirm(who, fields.password, fields.code, visitor)
        match outcome:
            case NotYet(SignInAnswer.BEGIN_AGAIN):
                return see(SIGN_IN, next=following)
            case NotYet(answer, minutes_fast):
                if answer is SignInAnswer.CODE_USED:
                    await self.door.follow_first(request)
                errors = (
                    {"code": FAULTS[answer]} if answer in FAULTS else {"password": "password_wrong"}
                )
                page = replace(again, minutes_fast=minutes_fast, errors=errors)
                return self.door.show(request, page, status=422)
            case secret:
                response = see(following)
                self.door.holders.cookies.set_session(response, secret)
                return response

    async def _confirm_page(self, who: SignedIn, following: str) -> ConfirmPage:
        has_passkeys = bool(await self.passkeys.current(who))
        return ConfirmPage(
            email=who.holder.email,
            next=following,
            needs_code=await self.flow.needs_code(who),
            passkey_host=self.passkeys.proofs.party.id if has_passkeys else "",
        )


@dataclass(frozen=True, slots=True)
class SignInCodePages:
    """Handlers of the code."""

    door: Door
    flow: SignIn

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        return [
            self.door.page(SIGN_IN_CODE, self.show),
            self.door.form(SIGN_IN_CODE, self.sign_in),
        ]

    async def show(self, request: Request) -> Response:
        """Ask for the code; without a password so far, begin with that."""
        following = self.door.own_page(request.query_params.get("next", ""))
        secret = self.door.holders.cookies.ceremony(request)
        if not await self.flow.is_asked_for_code(secret):
            return see(SIGN_IN, next=following)
        is_recovery = request.query_params.get("by") == "recovery"
        return self.door.show(request, SignInCodePage(following, is_recovery=is_recovery))

    async def sign_in(self, request: Request) -> Response:
        """Begin a session."""
        fields = await read_form(request, CodeFields)
        following = self.door.own_page(fields.next)
        secret = self.door.holders.cookies.ceremony(request)
        outcome = await self.flow.by_code(secret, fields.code, self.door.visitor(request))
        match outcome:
            case Welcome():
                is_recovery = outcome.answer is SignInAnswer.RECOVERY_CODE_USED
                said = "recovery_code_used" if is_recovery else ""
                response = await let_in(self.door, request, outcome, following, said=said)
            case NotYet(SignInAnswer.TOO_MANY_CODES):
                response = see(SIGN_IN, next=following, said="too_many_codes")
            case NotYet(answer) if answer in FAULTS:
                by_recovery = fields.by == "recovery"
                is_wrong = by_recovery and answer is SignInAnswer.CODE_WRONG
                fault = "recovery_code_wrong" if is_wrong else FAULTS[answer]
                page = SignInCodePage(following, by_recovery, outcome.minutes_fast, {"code": fault})
                return self.door.show(request, page, status=422)
            case _:
                response = see(SIGN_IN, next=following, said="code_too_late")
        self.door.holders.cookies.drop_ceremony(response)
        return response


async def let_in(
    door: Door, request: Request, welcome: Welcome, following: str, **query: str
) -> Response:
    """Go on at a page with a session that has begun; the one that the browser sent is over."""
    cookies = door.holders.cookies
    if before := cookies.session(request):
        await door.holders.sessions.sign_out(before)
    response = see(following, **query)
    cookies.set_session(response, welcome.session_secret)
    cookies.set_device(response, welcome.device_secret)
    return response


def ask_for_code(door: Door, needed: CodeNeeded, following: str) -> Response:
    """Let a browser whose password was right go on with a code."""
    response = see(SIGN_IN_CODE, next=following)
    door.holders.cookies.set_ceremony(response, needed.ceremony_secret)
    return response
