"""Serves `/account/destinations`: the signed-in person's own numbers, and how they are proven.

No URL contains a number, so that no history and no log has it: the page with the field for the code
is the response to the form that requests the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.buttons.own_buttons import OwnButtons
from gateway.buttons.ports import (
    CODE_LIFETIME_S,
    CodeTry,
    ProofCaller,
    Proofs,
    ProofStart,
    ProvenDestination,
)
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.http.site.door import CONFIRM, DESTINATIONS, Door, language_of, said_in, see
from gateway.http.site.forms import Line, NumberFields, read_form
from gateway.http.site.words import WORDS
from gateway.http.velocity import address_of
from gateway.words.languages import DEFAULT_LANGUAGE

CODE, TAKE_BACK = f"{DESTINATIONS}/code", f"{DESTINATIONS}/take-back"
_STARTS = {
    ProofStart.ALREADY_PROVEN: "destination_known",
    ProofStart.TOO_MANY: "destinations_too_many",
    ProofStart.NEVER_PAID: "destination_unpaid",
    ProofStart.NOT_REACHED: "destination_not_reached",
}
_TRIES = {
    CodeTry.OVER: "number_code_over",
    CodeTry.TOO_MANY: "destinations_too_many",
}


class CodeOfNumberFields(msgspec.Struct):
    """A code that was spoken to a phone number."""

    number: Line = ""
    code: Line = ""


@dataclass(frozen=True, slots=True)
class DestinationsPage:
    """The numbers that are proven to be an account's, and the form that proves another."""

    template: ClassVar[str] = "destinations.html"
    destinations: Sequence[ProvenDestination]
    callers: Mapping[str, Sequence[str]]
    """Number -> the names of the buttons that call it."""
    number: str
    """As typed; empty at first."""
    is_called: bool
    """Whether the number has been called, and the code is awaited."""
    minutes: int
    """How long a code is valid."""
    refusal: str = ""
    """Why the number cannot be called: a key of the words under `problem.`; empty if it can."""
    wait_minutes: int = 0
    """When to try again; 0 if unknown."""
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DestinationPages:
    """Handlers of the page of proven numbers."""

    door: Door
    buttons: OwnButtons
    proofs: Proofs

    def routes(self) -> list[DeclaredRoute]:
        """Return the page's routes."""
        own = self.door.own
        return [
            own(DESTINATIONS, self.show, step_up=True),
            own(DESTINATIONS, self.start, method="POST", step_up=True),
            own(TAKE_BACK, self.take_back, method="POST", step_up=True, page=DESTINATIONS),
            own(CODE, self.try_code, method="POST", step_up=True, page=DESTINATIONS),
        ]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show which numbers are proven, and the form that proves another."""
        return await self._page(request, who)

    async def start(self, request: Request, who: SignedIn) -> Response:
        """Have a code spoken to a number, and ask for it."""
        number = (await read_form(request, NumberFields)).number.strip()
        if not number:
            return await self._page(request, who, errors={"number": "number_to_prove_needed"})
        caller = ProofCaller(who.account.id, address_of(request), language_of(request))
        try:
            started = await self.proofs.start(caller, number)
        except RequestRefusedError as error:
            if f"problem.{error.code}" not in WORDS[DEFAULT_LANGUAGE]:
                raise
            wait = -(-error.retry_after_s // 60)
            return await self._page(request, who, number, refusal=error.code, wait_minutes=wait)
        if word := _STARTS.get(started):
            return await self._page(request, who, number, errors={"number": word})
        return await self._page(request, who, number, is_called=True)

    async def try_code(self, request: Request, who: SignedIn) -> Response:
        """Compare the code that was typed."""
        fields = await read_form(request, CodeOfNumberFields)
        session, number = who.session, fields.number.strip()
        tried = await self.proofs.try_code(
            session.account_id, session.credentials_epoch, number, fields.code
        )
        match tried:
            case CodeTry.PROVEN:
                return see(DESTINATIONS, said="destination_proven")
            case CodeTry.SESSION_OVER:
                return await self.door.sign_in_first(request, DESTINATIONS)
            case CodeTry.WRONG:
                errors = {"code": "number_code_wrong"}
                return await self._page(request, who, number, errors=errors, is_called=True)
        return await self._page(request, who, number, errors={"number": _TRIES[tried]})

    async def take_back(self, request: Request, who: SignedIn) -> Response:
        """Withdraw a number, so that no button can call it."""
        number = (await read_form(request, NumberFields)).number.strip()
        # PostgreSQL cannot look for text with NUL, and no number has one.
        taken = await self.buttons.take_back(who, "" if "\0" in number else number)
        match taken:
            case SessionOver():
                return await self.door.sign_in_first(request, DESTINATIONS)
            case StepUpNeeded():
                return see(CONFIRM, next=DESTINATIONS)
        # No message if it was withdrawn already, or was never proven.
        return see(DESTINATIONS, said="destination_taken_back" if taken.was_proven else "")

    async def _page(
        self,
        request: Request,
        who: SignedIn,
        number: str = "",
        *,
        is_called: bool = False,
        errors: Mapping[str, str] | None = None,
        refusal: str = "",
        wait_minutes: int = 0,
    ) -> Response:
        callers: dict[str, list[str]] = {}
        for button in await self.buttons.of(who):
            callers.setdefault(button.rules.destination, []).append(button.label)
        page = DestinationsPage(
            destinations=await self.buttons.destinations(who),
            callers=callers,
            number=number,
            is_called=is_called,
            minutes=CODE_LIFETIME_S // 60,
            refusal=refusal,
            wait_minutes=wait_minutes,
            said=said_in(request),
            errors=errors or {},
        )
        return self.door.show(request, page, status=422 if errors or refusal else 200)
