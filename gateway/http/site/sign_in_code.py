"""Serves `/sign-in/code`: the second step of a sign-in, a code after the password.

The server stores what has been proven so far; the browser has its secret in a cookie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from accounts.sign_in import SignInAnswer
from gateway.http.access import DeclaredRoute
from gateway.http.site.door import SIGN_IN, SIGN_IN_CODE, Door, see
from gateway.http.site.forms import CodeFields, read_form
from gateway.http.site.pages import SignInCodePage
from gateway.people.sign_in import NotYet, SignIn, Welcome

FAULTS: Final[Mapping[SignInAnswer, str]] = {
    SignInAnswer.CODE_WRONG: "code_wrong",
    SignInAnswer.CODE_USED: "code_used",
    SignInAnswer.CLOCK_OFF: "code_clock_off",
}
"""What is said beside the field of a code."""


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
                response = await self.door.welcome(request, outcome, following, said=said)
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
