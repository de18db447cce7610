"""Creates the routes of pages: checks the origin of forms and who is signed in, shows errors."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from accounts.ports import HasherBusyError
from billing.clock import Clock
from database.errors import StoreUnavailableError
from database.undertaking import undertaken
from gateway.errors import FormSentBeforeError, RequestRefusedError
from gateway.http.access import Access, DeclaredRoute
from gateway.http.holders import Holders
from gateway.http.principal import Principal
from gateway.http.sessions import SignedIn
from gateway.http.site.countries import names_of
from gateway.http.site.forms import (
    AnsweredBeforeError,
    FormOutcome,
    ReceivedForm,
    SentForms,
    owner_of,
    receive_form,
)
from gateway.http.site.pages import ErrorPage, Page, SentFormPage
from gateway.http.site.rendering import HEADERS, Pages
from gateway.http.site.words import WORDS, best_language
from gateway.http.velocity import address_of
from gateway.http.visitor import Visitor
from gateway.limits.velocity import refuse, wrong_session_uses
from gateway.ports import Velocity
from gateway.problems import PROBLEMS
from gateway.words.languages import DEFAULT_LANGUAGE

PHONE: Final = "/"
SESSION_OVER: Final = "session_over"
"""What the sign-in says to whoever comes with a session that is over."""
SIGN_IN, SIGN_IN_CODE, CONFIRM = "/sign-in", "/sign-in/code", "/confirm"
ACCOUNT, SECURITY = "/account", "/account/security"
CALLS, CREDIT, KEYS = f"{ACCOUNT}/calls", f"{ACCOUNT}/credit", f"{ACCOUNT}/keys"
DELETE, CHOICES = f"{ACCOUNT}/delete", f"{ACCOUNT}/privacy-choices"
REQUESTS, TERMS = f"{ACCOUNT}/requests", f"{ACCOUNT}/terms"
COUNTRIES, RESTRICTION = f"{ACCOUNT}/countries", f"{ACCOUNT}/restriction"
BUTTONS, DESTINATIONS = f"{ACCOUNT}/buttons", f"{ACCOUNT}/destinations"
SUPERVISION: Final = f"{ACCOUNT}/supervision"
_PARAMETER: Final = re.compile(r"\\\{\w+\\\}")
_ID: Final = "[0-9a-f]{24}"
"""What an id is in the addresses of pages where a person goes on."""
_FILES: Final = (".csv", ".json")
_BUSY_S = 5
_AGENT_CHARS_MAX = 512
_CURSOR_CHARS_MAX = 128

PageHandler = Callable[[Request], Awaitable[Response]]
HolderHandler = Callable[[Request, SignedIn], Awaitable[Response]]


class SeeOther(RedirectResponse):
    """The redirect to a page, which may say what has just happened."""

    def __init__(self, url: str, said: str) -> None:
        super().__init__(url, 303, HEADERS)
        self.said: Final = said
        """Name of the sentence; empty for none."""


@dataclass(frozen=True, slots=True)
class Door:
    """Lets people in to pages, or explains why not."""

    holders: Holders
    pages: Pages
    clock: Clock
    velocity: Velocity
    forms: SentForms | None = None
    """Which forms were received; None if that is not recorded."""
    country_of: Callable[[str], str] = field(default=lambda _address: "")
    """Returns the country of an address, ISO 3166 alpha-2; empty if unknown."""
    _own_pages: list[re.Pattern[str]] = field(default_factory=list)

    def page(self, path: str, handler: PageHandler) -> DeclaredRoute:
        """Return the route of a page for anyone."""
        return DeclaredRoute(path, self._guarded(handler), Access.PUBLIC, method="GET")

    def form(self, path: str, handler: PageHandler) -> DeclaredRoute:
        """Return the route of a form for anyone, if sent from a page of ours."""

        async def endpoint(request: Request) -> Response:
            # Before the body is read.
            self.holders.check_source(request)
            return await handler(request)

        return DeclaredRoute(path, self._guarded(endpoint), Access.FORM, method="POST")

    def own(
        self,
        path: str,
        handler: HolderHandler,
        *,
        method: str = "GET",
        step_up: bool = False,
        page: str = "",
        before_terms: bool = False,
    ) -> DeclaredRoute:
        """Return the route of a page or a form for a signed-in person.

        `page` is where a person goes on after they have signed in, or proven who they are; without
        it the path itself. Both may name parameters of the path. A person who has not accepted new
        terms must do so first, except on a page that is open `before_terms`: someone who does not
        accept must be able to take their data and leave.
        """

        async def endpoint(request: Request) -> Response:
            self.holders.check_source(request)
            principal = await self.who(request)
            back = (page or path).format(**request.path_params)
            if principal is None or principal.signed_in is None:
                if method == "POST":
                    await receive_form(request)
                return await self.sign_in_first(request, back)
            request.state.owner = principal.signed_in.holder.account_id
            if not before_terms and not principal.has_accepted:
                return see(TERMS, next=back)
            if step_up and not principal.is_stepped_up(self.clock()):
                return see(CONFIRM, next=back)
            return await handler(request, principal.signed_in)

        if method == "GET" and not page and not path.endswith(_FILES):
            self._own_pages.append(re.compile(_PARAMETER.sub(_ID, re.escape(path)), re.ASCII))
        return DeclaredRoute(
            path, self._guarded(endpoint), Access.HOLDER, method=method, step_up=step_up
        )

    def own_page(self, path: str) -> str:
        """Return where a person goes on after they have signed in: a page of theirs, or the phone.

        A request never names another place; where it tries to, they go on to their account.
        """
        if path == PHONE or any(page.fullmatch(path) for page in self._own_pages):
            return path
        return ACCOUNT

    async def who(self, request: Request) -> Principal | None:
        """Return who is signed in; None if no one is.

        Raises RequestRefusedError, StoreUnavailableError; TooFastError after too many invalid
        sessions.
        """
        request.state.is_signed_in = None
        principal = await self.holders.principal(request)
        await self._note(request, None if principal is None else principal.signed_in)
        return principal

    async def recognise(self, request: Request) -> None:
        """Give a public page the header of the signed-in person.

        Looked up once per request. The page is shown in any case, even if a store is unavailable:
        then its header offers neither a sign-in nor the person's own pages.
        """
        if hasattr(request.state, "is_signed_in"):
            return
        request.state.is_signed_in = None
        secret = self.holders.cookies.session(request)
        with suppress(RequestRefusedError, StoreUnavailableError):
            # Nothing is done in the person's name, so it does not matter where the request is from.
            who = await self.holders.sessions.who(secret) if secret else None
            await self._note(request, who)

    async def _note(self, request: Request, who: SignedIn | None) -> None:
        if who is None and self.holders.has_cookie(request):
            refuse(await self.velocity.hit(wrong_session_uses(address_of(request))))
        request.state.is_signed_in = who is not None
        if who is not None:
            # Pages of this request are in the person's chosen language.
            request.state.language = who.holder.language

    def language(self, request: Request) -> str:
        """Return the language in which a request is answered."""
        return language_of(request)

    def show(
        self,
        request: Request,
        page: Page,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Return a page in the reader's language."""
        return self.pages.render(
            page,
            language_of(request),
            status=status,
            headers=headers,
            owner=owner_of(request),
            is_signed_in=getattr(request.state, "is_signed_in", False),
        )

    def if_busy(self, request: Request, page: Page) -> None:
        """Set what is shown if a form needs a password checked, and that is impossible now."""
        request.state.if_busy = page

    async def show_missing(self, request: Request) -> Response:
        """Return the page for an unknown URL."""
        await self.recognise(request)
        return self.show(request, ErrorPage("not_found"), status=404)

    async def follow_first(self, request: Request) -> None:
        """Let a form lead where the same one led to that was received a moment before, if any.

        For what proves something once only, such as a code: the second press finds it used up.
        Raises AnsweredBeforeError.
        """
        sending: ReceivedForm | None = getattr(request.state, "sending", None)
        outcome = None if sending is None else await sending.outcome_soon()
        if outcome is not None:
            raise AnsweredBeforeError(outcome)

    def visitor(self, request: Request) -> Visitor:
        """Return what a request reveals about its browser."""
        address = address_of(request)
        country = self.country_of(address)
        return Visitor(
            address=address,
            country=country,
            country_names=names_of(country),
            language=language_of(request),
            user_agent=request.headers.get("user-agent", "")[:_AGENT_CHARS_MAX],
            device_secret=self.holders.cookies.device(request),
        )

    async def sign_in_first(self, request: Request, back: str) -> Response:
        """Return the redirect to the sign-in and back; a session that has ended is mentioned.

        A browser keeps its cookie where the session has just been renewed: it may have the next
        one by now, which this answer would take away. Raises StoreUnavailableError.
        """
        secret = self.holders.cookies.session(request)
        response = see(SIGN_IN, next=back, said=SESSION_OVER if secret else "")
        if secret and not await self.holders.sessions.was_renewed(secret):
            self.holders.cookies.drop_session(response)
        return response

    def _guarded(self, handler: PageHandler) -> PageHandler:
        """Answer with a page even if a request is refused, or a store is unavailable."""

        async def endpoint(request: Request) -> Response:
            with undertaken() as work:
                if self.forms is not None:
                    session = self.holders.cookies.session(request)
                    request.state.sending = ReceivedForm(self.forms, work, session)
                try:
                    return await self._answered(request, handler)
                except RequestRefusedError as error:
                    return await self._refused(request, error.code, error.retry_after_s)
                except HasherBusyError:
                    return await self._busy(request)
                except FormSentBeforeError:
                    return await self._of_sent_form(request, "before", 409)
                except StoreUnavailableError:
                    # A commit whose response was lost may have happened.
                    if work.may_be_done:
                        return await self._of_sent_form(request, "uncertain", 503)
                    return await self._refused(request, "store_unavailable", _BUSY_S)

        return endpoint

    async def _answered(self, request: Request, handler: PageHandler) -> Response:
        """Answer, and make sure that a sentence is shown once, and never by a foreign link."""
        cookies, said = self.holders.cookies, request.query_params.get("said", "")
        is_said = f"said.{said}" in WORDS[DEFAULT_LANGUAGE] and cookies.vouches(request, said)
        request.state.said, request.state.is_said = said if is_said else "", False
        try:
            response = await handler(request)
        except AnsweredBeforeError as error:
            response = _again(error.outcome)
        except FormSentBeforeError:
            sending: ReceivedForm = request.state.sending
            if (outcome := await sending.outcome_soon()) is None:
                raise
            response = _again(outcome)
        else:
            response = await self._settled(request, response)
        if isinstance(response, SeeOther):
            if response.said:
                cookies.set_said(response, response.said)
        elif request.state.is_said and request.method != "HEAD":
            cookies.drop_said(response)
        return response

    async def _settled(self, request: Request, response: Response) -> Response:
        """Store the result of a form that has changed something.

        If it has changed nothing, it may be a repeat whose first copy has ended its session: then
        it gets that one's answer.
        """
        sending: ReceivedForm | None = getattr(request.state, "sending", None)
        if sending is None or not isinstance(response, SeeOther):
            return response
        if sending.may_be_overtaken:
            is_over = await self.holders.sessions.who(sending.session) is None
            outcome = await sending.outcome_soon() if is_over else None
            return response if outcome is None else _again(outcome)
        cookies = tuple(response.headers.getlist("set-cookie"))
        await sending.led_to(FormOutcome(response.headers["location"], response.said, cookies))
        return response

    async def _of_sent_form(self, request: Request, code: str, status: int) -> Response:
        await self.recognise(request)
        return self.show(request, SentFormPage(code), status=status)

    async def _busy(self, request: Request) -> Response:
        """Show the form again with what was filled in, if it takes a password."""
        page: Page | None = getattr(request.state, "if_busy", None)
        if page is None:
            return await self._refused(request, "busy", _BUSY_S)
        return self.show(request, page, status=503, headers={"Retry-After": str(_BUSY_S)})

    async def _refused(self, request: Request, code: str, wait_s: int) -> Response:
        await self.recognise(request)
        status = PROBLEMS[code].status if code in PROBLEMS else 503
        page = ErrorPage(code, wait_minutes=-(-wait_s // 60))
        headers = {"Retry-After": str(wait_s)} if wait_s else None
        return self.show(request, page, status=status, headers=headers)


def _again(outcome: FormOutcome) -> SeeOther:
    """Return the answer that a form was given before."""
    response = SeeOther(outcome.path, outcome.said)
    for cookie in outcome.cookies:
        response.headers.append("set-cookie", cookie)
    return response


def said_in(request: Request) -> str:
    """Return the sentence about what has just happened; empty if there is none."""
    said: str = getattr(request.state, "said", "")
    request.state.is_said = bool(said)
    return said


def cursor_in(request: Request) -> str | None:
    """Return the cursor of a page of a list; None for the first page.

    Raises RequestRefusedError.
    """
    before = request.query_params.get("before", "")
    # PostgreSQL cannot store NUL in text: the driver's error would become a 500.
    if "\0" in before or len(before) > _CURSOR_CHARS_MAX:
        raise RequestRefusedError("bad_request", field="before")
    return before or None


def language_of(request: Request) -> str:
    """Return the language that a person has chosen, or the browser's preferred one."""
    chosen = getattr(request.state, "language", "")
    return chosen if chosen in WORDS else best_language(request.headers.get("accept-language", ""))


def see(path: str, **query: str) -> SeeOther:
    """Return the redirect after a form, so that a reload or the back button sends nothing twice.

    RFC 9110, 15.4.4. The path is one of ours, never one that a request names.
    """
    kept = {name: value for name, value in query.items() if value}
    return SeeOther(f"{path}?{urlencode(kept)}" if kept else path, query.get("said", ""))
