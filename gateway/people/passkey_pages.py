"""Serves passkeys: challenges for the script of our pages, and forms that bring its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from accounts.sign_in import SignInAnswer
from gateway.http.access import DeclaredRoute
from gateway.http.cookies import challenge_name
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.http.site.door import (
    CONFIRM,
    SECURITY,
    SIGN_IN,
    Door,
    HolderHandler,
    see,
)
from gateway.http.site.forms import Nothing, read_form
from gateway.http.site.rendering import HEADERS
from gateway.people.enrolment import Changed
from gateway.people.forms import NamedPasskeyFields, PasskeyFields
from gateway.people.passkeys import Challenge, Passkeys
from gateway.people.sign_in import NotYet, Welcome
from gateway.people.sign_in_pages import let_in

PASSKEYS: Final = "/account/passkeys"


@dataclass(frozen=True, slots=True)
class PasskeyPages:
    """Handlers of passkeys."""

    door: Door
    flow: Passkeys

    def routes(self) -> list[DeclaredRoute]:
        """Return the routes."""
        door = self.door

        def own(path: str, handler: HolderHandler, *, step_up: bool = False) -> DeclaredRoute:
            return door.own(path, handler, method="POST", step_up=step_up, page=SECURITY)

        return [
            door.form(f"{SIGN_IN}/passkey/options", self.options),
            door.form(f"{SIGN_IN}/passkey", self.sign_in),
            own(f"{CONFIRM}/passkey", self.confirm),
            own(f"{PASSKEYS}/options", self.new_options, step_up=True),
            own(PASSKEYS, self.add, step_up=True),
            own(f"{PASSKEYS}/rename", self.rename),
            own(f"{PASSKEYS}/remove", self.remove, step_up=True),
        ]

    async def options(self, request: Request) -> Response:
        """Return a challenge for any passkey that the browser has."""
        await read_form(request, Nothing)
        if not self.flow.is_offered:
            return see(SIGN_IN)
        return self._challenge(request, await self.flow.challenge(self.door.visitor(request)))

    async def sign_in(self, request: Request) -> Response:
        """Begin a session with a passkey alone."""
        fields = await read_form(request, PasskeyFields)
        following, visitor = self.door.own_page(fields.next), self.door.visitor(request)
        secret = self._begun(request, fields.ceremony)
        outcome = await self.flow.enter(secret, fields.answer, visitor)
        if isinstance(outcome, Welcome):
            return await let_in(self.door, request, outcome, following)
        return see(SIGN_IN, next=following, said=_said(outcome))

    async def confirm(self, request: Request, who: SignedIn) -> Response:
        """Accept a passkey instead of the password for a step-up."""
        fields = await read_form(request, PasskeyFields)
        following = self.door.own_page(fields.next)
        secret = self._begun(request, fields.ceremony)
        outcome = await self.flow.confirm(who, secret, fields.answer)
        if isinstance(outcome, NotYet):
            return see(CONFIRM, next=following, said=_said(outcome))
        response = see(following)
        self.door.holders.cookies.set_session(response, outcome)
        return response

    async def new_options(self, request: Request, who: SignedIn) -> Response:
        """Return the challenge for a new passkey."""
        await read_form(request, Nothing)
        outcome = await self.flow.begin(who) if self.flow.is_offered else None
        match outcome:
            case Challenge():
                return self._challenge(request, outcome)
            case StepUpNeeded():
                return see(CONFIRM, next=SECURITY)
        return see(SECURITY)

    async def add(self, request: Request, who: SignedIn) -> Response:
        """Add the passkey that the browser has created."""
        fields = await read_form(request, NamedPasskeyFields)
        visitor = self.door.visitor(request)
        secret = self._begun(request, fields.ceremony)
        outcome = await self.flow.add(who, secret, fields.answer, fields.name, visitor)
        return await self._changed(request, outcome, "passkey_added")

    async def rename(self, request: Request, who: SignedIn) -> Response:
        """Rename a passkey."""
        fields = await read_form(request, NamedPasskeyFields)
        outcome = await self.flow.rename(who, fields.id, fields.name)
        if isinstance(outcome, SessionOver):
            return await self.door.sign_in_first(request, SECURITY)
        return see(SECURITY, said="passkey_renamed")

    async def remove(self, request: Request, who: SignedIn) -> Response:
        """Remove a passkey."""
        fields = await read_form(request, NamedPasskeyFields)
        outcome = await self.flow.remove(who, fields.id)
        # If it was gone already, no epoch begins, and the session keeps its secret.
        is_gone = isinstance(outcome, Changed) and outcome.session_secret == who.secret
        return await self._changed(request, outcome, "" if is_gone else "passkey_removed")

    def _challenge(self, request: Request, challenge: Challenge) -> Response:
        secret = challenge.ceremony_secret
        body = {"ceremony": challenge_name(secret), "options": challenge.options}
        response = Response(
            msgspec.json.encode(body), headers=HEADERS, media_type="application/json"
        )
        self.door.holders.cookies.set_challenge(request, response, secret)
        return response

    def _begun(self, request: Request, name: str) -> str:
        """Return the secret of a challenge that this very browser was given; empty if none."""
        return self.door.holders.cookies.challenge(request, name)

    async def _changed(
        self,
        request: Request,
        outcome: Changed | SessionOver | StepUpNeeded | Faults,
        said: str,
    ) -> Response:
        match outcome:
            case Changed(session_secret):
                response = see(SECURITY, said=said)
                self.door.holders.cookies.set_session(response, session_secret)
                return response
            case SessionOver():
                return await self.door.sign_in_first(request, SECURITY)
            case Faults(by_field):
                return see(SECURITY, said=by_field["passkey"])
        return see(CONFIRM, next=SECURITY)


def _said(outcome: NotYet) -> str:
    # The challenge or the session is over: nothing is wrong with the passkey.
    return "passkey_late" if outcome.answer is SignInAnswer.BEGIN_AGAIN else "passkey_wrong"
