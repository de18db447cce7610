"""Serves `/sign-in`, `/sign-out` and `/confirm`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from accounts.sign_in import SignInAnswer
from gateway.http.access import DeclaredRoute
from gateway.http.site.door import (
    ACCOUNT,
    CONFIRM,
    SESSION_OVER,
    SIGN_IN,
    Door,
    said_in,
    see,
)
from gateway.http.site.forms import ConfirmFields, Nothing, SignInFields, read_form
from gateway.http.site.pages import PASSWORD_BUSY, ConfirmPage, SignInPage
from gateway.http.site.sign_in_code import FAULTS
from gateway.people.passkeys import Passkeys
from gateway.people.sessions import BrowserSessions, SignedIn
from gateway.people.sign_in import CodeNeeded, NotYet, SignIn, Welcome
from gateway.people.sign_up import Faults


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
            return await self.door.welcome(request, outcome, following)
        if isinstance(outcome, CodeNeeded):
            return self.door.ask_for_code(outcome, following)
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
