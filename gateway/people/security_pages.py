"""Serves `/account/security`: how a person proves who they are, and their second factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from accounts.passkey import Passkey
from accounts.second_factor import CODES_LEFT_FEW
from accounts.totp import readable_secret
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.http.site.door import CONFIRM, SECURITY, Door, said_in, see
from gateway.http.site.forms import Nothing, read_form
from gateway.http.site.pages import Errors
from gateway.http.site.rendering import HEADERS
from gateway.people.enrolment import (
    Begun,
    Changed,
    Enrolment,
    NothingToDo,
    ToAdd,
    WrongCode,
)
from gateway.people.forms import CodeFields
from gateway.people.passkeys import Passkeys

SECOND_FACTOR: Final = "/account/second-factor"
RECOVERY_CODES: Final = "/account/recovery-codes"
_QUIET_MODULES: Final = 4
"""The margin of a QR code (ISO/IEC 18004, 6.3.8)."""


@dataclass(frozen=True, slots=True)
class SecurityPage:
    """How a person proves who they are."""

    template: ClassVar[str] = "security.html"
    is_offered: bool
    """Whether a second factor can be added."""
    factor_since: datetime | None
    """When the second factor was added; None without one."""
    codes_left: int
    has_few_codes: bool
    passkeys: Sequence[Passkey]
    passkey_host: str
    """The host that passkeys belong to; empty if there can be none."""
    passkey_origin: str
    """Origin of our pages at that host."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class SecondFactorPage:
    """What is entered into an app, and the form for its first code."""

    template: ClassVar[str] = "second_factor.html"
    secret: str
    """For typing it into the app."""
    qr_code: Markup
    minutes_fast: int = 0
    """How far the app's clock is off; negative: slow, 0: that is not the problem."""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecoveryCodesPage:
    """The recovery codes that were just made."""

    template: ClassVar[str] = "recovery_codes.html"
    codes: Sequence[str]
    said: str = ""


@dataclass(frozen=True, slots=True)
class SecurityPages:
    """Handlers of the overview and of the second factor."""

    door: Door
    enrolment: Enrolment
    passkeys: Passkeys
    is_offered: bool
    """Whether there is a key to seal second factors with."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        door = self.door
        return [
            door.own(SECURITY, self.show),
            door.own(SECOND_FACTOR, self.show_new),
            door.own(SECOND_FACTOR, self.add, method="POST", step_up=True, page=SECURITY),
            door.own(
                f"{SECOND_FACTOR}/begin", self.begin, method="POST", step_up=True, page=SECURITY
            ),
            door.own(
                f"{SECOND_FACTOR}/off", self.remove, method="POST", step_up=True, page=SECURITY
            ),
            door.own(RECOVERY_CODES, self.show_codes),
            door.own(f"{RECOVERY_CODES}/download", self.download),
            door.own(
                f"{RECOVERY_CODES}/new", self.new_codes, method="POST", step_up=True, page=SECURITY
            ),
            door.own(f"{RECOVERY_CODES}/kept", self.forget_codes, method="POST", page=SECURITY),
        ]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show how the person proves who they are."""
        factor = await self.enrolment.current(who)
        page = SecurityPage(
            is_offered=self.is_offered,
            factor_since=factor.added_at if factor else None,
            codes_left=factor.codes_left if factor else 0,
            has_few_codes=factor is not None and factor.codes_left <= CODES_LEFT_FEW,
            passkeys=await self.passkeys.current(who),
            passkey_host=self.passkeys.proofs.party.id,
            passkey_origin=self.passkeys.proofs.party.origin,
            said=said_in(request),
        )
        return self.door.show(request, page)

    async def begin(self, request: Request, who: SignedIn) -> Response:
        """Create the secret for a new app."""
        await read_form(request, Nothing)
        outcome = await self.enrolment.begin(who) if self.is_offered else None
        match outcome:
            case Begun(secret):
                response = see(SECOND_FACTOR)
                self.door.holders.cookies.set_ceremony(response, secret)
                return response
            case StepUpNeeded():
                return see(CONFIRM, next=SECURITY)
        return see(SECURITY)

    async def show_new(self, request: Request, who: SignedIn) -> Response:
        """Show what is entered into a new app, and ask for its first code."""
        to_add = await self._to_add(request, who)
        return see(SECURITY) if to_add is None else self._page(request, to_add)

    async def add(self, request: Request, who: SignedIn) -> Response:
        """Add the app."""
        fields = await read_form(request, CodeFields)
        secret, visitor = self._ceremony(request), self.door.visitor(request)
        outcome = await self.enrolment.add(who, secret, fields.code, visitor)
        if isinstance(outcome, WrongCode):
            to_add = await self._to_add(request, who)
            errors = outcome.faults.by_field
            if to_add is not None:
                return self._page(request, to_add, outcome.minutes_fast, errors)
        if isinstance(outcome, NothingToDo):
            return see(SECURITY, said="begun_too_long_ago")
        return await self._changed(request, outcome, RECOVERY_CODES, "second_factor_on")

    async def remove(self, request: Request, who: SignedIn) -> Response:
        """Remove the second factor."""
        await read_form(request, Nothing)
        outcome = await self.enrolment.remove(who)
        return await self._changed(request, outcome, SECURITY, "second_factor_off")

    async def new_codes(self, request: Request, who: SignedIn) -> Response:
        """Replace the recovery codes."""
        await read_form(request, Nothing)
        outcome = await self.enrolment.new_codes(who)
        return await self._changed(request, outcome, RECOVERY_CODES, "codes_new")

    async def show_codes(self, request: Request, who: SignedIn) -> Response:
        """Show the recovery codes that were just made."""
        codes = await self.enrolment.codes_to_keep(who, self._ceremony(request))
        if not codes:
            return see(SECURITY)
        return self.door.show(request, RecoveryCodesPage(codes, said=said_in(request)))

    async def download(self, request: Request, who: SignedIn) -> Response:
        """Return the newly created recovery codes as a text file."""
        codes = await self.enrolment.codes_to_keep(who, self._ceremony(request))
        if not codes:
            return see(SECURITY)
        name = {"Content-Disposition": 'attachment; filename="recovery-codes.txt"'}
        return PlainTextResponse("\r\n".join((*codes, "")), headers={**HEADERS, **name})

    async def forget_codes(self, request: Request, _who: SignedIn) -> Response:
        """Stop showing the recovery codes."""
        await read_form(request, Nothing)
        await self.enrolment.forget_codes(self._ceremony(request))
        response = see(SECURITY)
        self.door.holders.cookies.drop_ceremony(response)
        return response

    async def _changed(
        self, request: Request, outcome: object, following: str, said: str
    ) -> Response:
        match outcome:
            case Changed(session_secret, ceremony_secret):
                response = see(following, said=said)
                cookies = self.door.holders.cookies
                cookies.set_session(response, session_secret)
                if ceremony_secret:
                    cookies.set_ceremony(response, ceremony_secret)
                return response
            case SessionOver():
                return await self.door.sign_in_first(request, SECURITY)
            case StepUpNeeded():
                return see(CONFIRM, next=SECURITY)
        # Done already, for example by a form that was sent twice.
        return see(SECURITY)

    def _page(
        self, request: Request, to_add: ToAdd, minutes_fast: int = 0, errors: Errors | None = None
    ) -> Response:
        page = SecondFactorPage(
            readable_secret(to_add.secret), qr_code(to_add.uri), minutes_fast, errors or {}
        )
        return self.door.show(request, page, status=422 if errors else 200)

    async def _to_add(self, request: Request, who: SignedIn) -> ToAdd | None:
        return await self.enrolment.to_add(who, self._ceremony(request))

    def _ceremony(self, request: Request) -> str:
        return self.door.holders.cookies.ceremony(request)


def qr_code(text: str) -> Markup:
    """Return a QR code (ISO/IEC 18004) as SVG to embed in a page.

    Black on white regardless of the page's colours, because many readers recognise nothing else.
    """
    # Imported when the first person adds an app.
    import segno  # noqa: PLC0415

    code = segno.make(text, error="m", micro=False)
    # Numbers only: it contains none of the text.
    return Markup(  # noqa: S704
        code.svg_inline(
            border=_QUIET_MODULES, dark="#000", light="#fff", svgclass="qr", omitsize=True
        )
    )
