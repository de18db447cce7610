"""Serves `/sign-up`: the form, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import Faults
from gateway.http.site.door import Door, said_in, see
from gateway.http.site.forms import read_form
from gateway.http.site.pages import Errors
from gateway.people.forms import PASSWORD_BUSY, AddressFields, SignUpFields
from gateway.people.sign_up import SignUp, SignUpForm

SIGN_UP, DONE = "/sign-up", "/sign-up/done"


@dataclass(frozen=True, slots=True)
class SignUpPage:
    """The form for a person without an account."""

    template: ClassVar[str] = "sign_up.html"
    is_open: bool
    email: str = ""
    terms: bool = False
    adult: bool = False
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignUpDonePage:
    """What to do next, and how to have the mail sent again."""

    template: ClassVar[str] = "sign_up_done.html"
    said: str = ""
    email: str = ""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignUpPages:
    """Handlers of the sign-up."""

    door: Door
    flow: SignUp
    is_open: bool

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        return [
            self.door.page(SIGN_UP, self.show),
            self.door.form(SIGN_UP, self.sign_up),
            self.door.page(DONE, self.show_done),
            self.door.form("/sign-up/again", self.send_again),
        ]

    async def show(self, request: Request) -> Response:
        """Show the form."""
        return self.door.show(request, SignUpPage(self.is_open))

    async def sign_up(self, request: Request) -> Response:
        """Create an account; a known address gets the same answer."""
        if not self.is_open:
            raise RequestRefusedError("sign_up_closed")
        fields = await read_form(request, SignUpFields)
        form = SignUpForm(fields.email, fields.password, fields.terms, fields.adult)
        page = SignUpPage(self.is_open, fields.email, fields.terms, fields.adult, PASSWORD_BUSY)
        self.door.if_busy(request, page)
        outcome = await self.flow.sign_up(form, self.door.visitor(request))
        if isinstance(outcome, Faults):
            page = replace(page, errors=outcome.by_field)
            return self.door.show(request, page, status=422)
        return see(DONE)

    async def show_done(self, request: Request) -> Response:
        """Say what to do next."""
        return self.door.show(request, SignUpDonePage(said=said_in(request)))

    async def send_again(self, request: Request) -> Response:
        """Send the mail again, if there is anyone to send it to."""
        fields = await read_form(request, AddressFields)
        outcome = await self.flow.send_again(fields.email, self.door.visitor(request))
        if isinstance(outcome, Faults):
            page = SignUpDonePage(email=fields.email, errors=outcome.by_field)
            return self.door.show(request, page, status=422)
        return see(DONE, said="sent")
