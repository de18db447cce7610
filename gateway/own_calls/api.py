"""Serves `/v1`: call tokens, live calls and call records of the API key's account.

Turns requests into calls of `Admission` and `CallIndex`, and their answers into JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.cdr import CallRecord
from billing.clock import utc_text
from billing.ports import SpendGate
from gateway.browser import messages as wire
from gateway.browser.reports import money, quote
from gateway.buttons.admission import ButtonAdmission, SignedCall
from gateway.buttons.door import ButtonDoor
from gateway.buttons.visitor_api import VISITOR_REFUSALS, VisitorTokenReply, visitor_token
from gateway.calls.admission import Admission, Buyer, CallRequest, Quote, Ticket
from gateway.calls.call_view import CallView, ended_view, live_view, unbooked_view
from gateway.calls.index import CallIndex
from gateway.errors import RequestRefusedError, TooFastError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import EXAMPLE_NUMBER, PageAsked, page_asked_for, read_json
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.http.velocity import address_of
from gateway.ports import LiveCall
from gateway.problems import PROBLEMS
from gateway.scopes import Scope
from gateway.settings import Settings

_CALL: Final = "^[a-z0-9]{12}$"
"""The form of a call's id."""
_CALL_REFUSALS: Final = (
    "address_unproven",
    "account_restricted",
    "country_closed",
    "bad_origin",
    "number_invalid",
    "number_too_short",
    "number_emergency",
    "number_premium",
    "number_high_risk",
    "destination_not_priced",
    "codec_unknown",
    "insufficient_credit",
    "cap_reached",
    "new_card_limited",
    "calls_limited",
    "number_limited",
    "short_calls_limited",
    "range_limited",
    "gateway_draining",
)
"""Why a call token is refused."""


class TokenRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/call-tokens`."""

    # Longer than any number: people type spaces, brackets and hyphens. It may be left out only with
    # a button that has its own number.
    destination: Annotated[
        Annotated[str, msgspec.Meta(max_length=64)] | None,
        msgspec.Meta(examples=[EXAMPLE_NUMBER]),
    ] = None
    codec: str = "pcmu"
    origin: Annotated[str, msgspec.Meta(max_length=256)] = ""
    button: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Publishable key of a button of the same account: its rules apply, and it pays."""
    visitor: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """With a button, and required then: the caller's back end's own name for the visitor."""


class QuoteRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/quotes`. A number goes in a body, because proxies log addresses."""

    destination: Annotated[str, msgspec.Meta(max_length=64, examples=[EXAMPLE_NUMBER])]


class QuoteReply(msgspec.Struct, kw_only=True):
    """What a call would cost."""

    destination: str
    country: str
    rate: wire.RateQuote
    balance: wire.Money
    affordable_seconds: int
    """How long balance, spend caps and the longest time allowed would let it last."""
    limited_by: wire.Lack
    """Which of the three ends it."""


class Refused(msgspec.Struct, kw_only=True):
    """Why a call token would be refused, in the words of its problem."""

    code: str
    title: str
    action: str


class QuoteRefusal(msgspec.Struct, kw_only=True):
    """The quote of a call that may not be placed: an answer, not a failed request."""

    refusal: Refused


class TokenReply(QuoteReply, kw_only=True):
    """A one-use token, and what the call will cost."""

    token: str
    expires_at: str
    expires_in_seconds: int
    media_url: str
    codec: str


class CheckTokenReply(msgspec.Struct, kw_only=True):
    """A one-use token for a check of the line; it costs nothing."""

    token: str
    expires_at: str
    expires_in_seconds: int
    media_url: str


class CheckTokenRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/check-tokens`."""

    origin: Annotated[str, msgspec.Meta(max_length=256)] = ""


class CallPage(msgspec.Struct, kw_only=True):
    """A page of calls: live ones first, then the newest first."""

    calls: list[CallView]
    next: str | None
    """Pass it as `before` to get the next page; null after the last."""


class LiveCallList(msgspec.Struct, kw_only=True):
    """The account's live calls."""

    calls: list[CallView]
    """The newest first; calls of a node that does not answer are missing."""


class AccountView(msgspec.Struct, kw_only=True):
    """The account."""

    id: str
    currency: str
    balance: wire.Money
    """What is held for calls is spent only once it is used."""
    live_calls: int


class PhonebookEntry(msgspec.Struct, kw_only=True):
    """A suggestion for the dial field."""

    number: str
    label: str


class Phonebook(msgspec.Struct, kw_only=True):
    """The operator's suggestions for the dial field."""

    entries: list[PhonebookEntry]


class CallsAsked(PageAsked, kw_only=True):
    """Which part of the calls."""

    before: Annotated[str, msgspec.Meta(pattern=_CALL)] | None = None


@dataclass(frozen=True, slots=True)
class CallsApi:
    """Handlers of the calls' resources."""

    settings: Settings
    auth: Authenticator
    admission: Admission
    index: CallIndex
    gate: SpendGate
    buttons: ButtonDoor
    button_admission: ButtonAdmission

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        return self.auth.serve(self)

    @operation(
        "POST /v1/quotes",
        Scope.CALLS,
        QuoteReply,
        QuoteRefusal,
        body=QuoteRequest,
        before_terms=True,
    )
    async def quote_call(self, request: Request, principal: Principal) -> Response:
        """Return what a call would cost and how long it could last, or why it may not be placed.

        People ask while they type, so a refusal is an ordinary answer.
        """
        body = await read_json(request, QuoteRequest)
        try:
            quoted = await self.admission.quote(_buyer(request, principal), body.destination)
        # This limits quotes, not the call: a 429 with Retry-After, so that clients slow down.
        except TooFastError:
            raise
        except RequestRefusedError as refused:
            # 200: the question was answered. A page asks at each keystroke, and refusals as errors
            # would fill the browser's console.
            return Json(QuoteRefusal(refusal=_refused(refused.code)))
        return Json(QuoteReply(**_quoted(quoted)))

    @operation(
        "POST /v1/call-tokens",
        Scope.CALLS,
        TokenReply,
        VisitorTokenReply,
        status=201,
        body=TokenRequest,
        problems=(*_CALL_REFUSALS, "visitor_needed", *VISITOR_REFUSALS),
    )
    async def issue_call_token(self, request: Request, principal: Principal) -> Response:
        """Quote a call and return the token that allows it, once."""
        body = await read_json(request, TokenRequest)
        if body.button:
            return await self._issue_button_token(request, principal, body)
        if body.destination is None or body.visitor:
            raise RequestRefusedError(
                "bad_request", field="visitor" if body.visitor else "destination"
            )
        asked = CallRequest(body.destination, body.codec, _page_origin(request, body.origin))
        # The buyer's key epoch goes into the token, for its redemption while SQL is away.
        quoted, ticket = await self.admission.admit(_buyer(request, principal), asked)
        reply = TokenReply(codec=body.codec, **_ticket(ticket), **_quoted(quoted))
        return Json(reply, 201)

    async def _issue_button_token(
        self, request: Request, principal: Principal, body: TokenRequest
    ) -> Response:
        """Return a token for a page to hand to its visitor, without any amounts."""
        if not body.visitor.strip():
            raise RequestRefusedError("visitor_needed", field="visitor")
        visit = await self.buttons.find(body.button, address_of(request))
        # Another account's button is treated as unknown. People place calls of their own.
        if visit is None or visit.account.id != principal.account.id or not _is_program(principal):
            raise RequestRefusedError("button_not_found", field="button")
        call = SignedCall(
            body.destination or "",
            body.visitor,
            body.codec,
            _page_origin(request, body.origin),
            principal.account.key_id,
        )
        ticket = await self.button_admission.admit_signed(visit, call)
        return Json(visitor_token(ticket), 201)

    @operation(
        "POST /v1/check-tokens",
        Scope.CALLS,
        CheckTokenReply,
        status=201,
        body=CheckTokenRequest,
        problems=("address_unproven", "account_restricted", "bad_origin", "gateway_draining"),
    )
    async def issue_check_token(self, request: Request, principal: Principal) -> Response:
        """Return the token that allows one check of the line, which is free of charge."""
        body = await read_json(request, CheckTokenRequest)
        origin = _page_origin(request, body.origin)
        ticket = await self.admission.admit_check(_buyer(request, principal), origin)
        return Json(CheckTokenReply(**_ticket(ticket)), 201)

    # Separate from the list of calls: a key that only dials can see and end live calls, without
    # reading whom the account has called.
    @operation("GET /v1/live-calls", Scope.CALLS, LiveCallList, gives={"call_id": "/calls/0/id"})
    async def list_live_calls(self, _request: Request, principal: Principal) -> Response:
        """Return the account's live calls, newest first.

        Calls of a node that does not answer are missing.
        """
        calls = await self.index.live_calls(principal.account.id)
        return Json(LiveCallList(calls=[live_view(call) for call in calls]))

    @operation(
        "GET /v1/calls",
        Scope.RECORDS,
        CallPage,
        query=CallsAsked,
        gives={"call_id": "/calls/0/id"},
    )
    async def list_calls(self, request: Request, principal: Principal) -> Response:
        """Return a page of the account's calls, newest first.

        Those that began within the last second come on top of the first page, beyond its limit,
        whether they are live or over.
        """
        limit, before = page_asked_for(request, _CALL)
        calls, following = await self.index.page(principal.account.id, limit=limit, before=before)
        return Json(CallPage(calls=[self._view(call) for call in calls], next=following))

    @operation("GET /v1/calls/{call_id}", Scope.RECORDS, CallView, problems=("call_not_found",))
    async def show_call(self, request: Request, principal: Principal) -> Response:
        """Return one call, live or ended.

        `live`, `settling` (over, its record is being written) or `ended`. While it is settling, its
        cost is null.
        """
        call = await self.index.show(principal.account.id, request.path_params["call_id"])
        return Json(self._view(call))

    @operation(
        "DELETE /v1/calls/{call_id}",
        Scope.CALLS,
        CallView,
        status=202,
        problems=("call_not_found", "call_ended", "node_silent"),
    )
    async def end_call(self, request: Request, principal: Principal) -> Response:
        """End a live call; 202 because the carrier has yet to confirm it."""
        # Looked up by account, so that another account's call is simply unknown.
        call = await self.index.end(principal.account.id, request.path_params["call_id"])
        return Json(live_view(call), 202)

    @operation("GET /v1/account", Scope.ACCOUNT, AccountView)
    async def show_account(self, _request: Request, principal: Principal) -> Response:
        """Return the account's balance: what is held for calls is spent only once used."""
        account = principal.account
        balance = await self.gate.balance(account.id)
        calls = await self.index.live_calls(account.id)
        # The gate counts held credit as gone. What calls have not used is added back.
        balance += sum(call.unused_micros for call in calls)
        return Json(
            AccountView(
                id=account.id,
                currency=account.currency,
                balance=money(balance, account.currency),
                live_calls=len(calls),
            )
        )

    @operation("GET /v1/phonebook", Scope.CALLS, Phonebook)
    async def show_phonebook(self, _request: Request, _principal: Principal) -> Response:
        """Return the operator's suggestions for the dial field."""
        pairs = (entry.partition("=") for entry in self.settings.phonebook)
        return Json(
            Phonebook(entries=[PhonebookEntry(number=n, label=label) for n, _, label in pairs])
        )

    def _view(self, call: LiveCall | CallRecord) -> CallView:
        if isinstance(call, LiveCall):
            return live_view(call)
        if call.closed is not None:
            return ended_view(call, call.closed)
        return unbooked_view(call, is_own=call.opened.node == self.index.node)


def _is_program(principal: Principal) -> bool:
    return principal.signed_in is None


def _buyer(request: Request, principal: Principal) -> Buyer:
    return Buyer(
        principal.account,
        principal.epoch,
        address_of(request),
        principal.is_proven,
        principal.credentials_epoch,
    )


def _page_origin(request: Request, named: str) -> str:
    """Return the page that asks; a program may name the page it asks for."""
    # The header wins over the body: scripts cannot set it, so no page can name another one.
    return request.headers.get("origin", "") or named


def _quoted(quoted: Quote) -> dict[str, Any]:
    order = quoted.order
    return {
        "destination": order.destination,
        "country": order.country,
        "rate": quote(order, quoted.rate),
        "balance": money(quoted.balance_micros, order.currency),
        "affordable_seconds": quoted.affordable_s,
        "limited_by": quoted.limited_by,
    }


def _ticket(ticket: Ticket) -> dict[str, Any]:
    return {
        "token": ticket.token,
        # For people; programs should use `expires_in_seconds`, which needs no synchronized clock.
        "expires_at": utc_text(ticket.expires_at),
        "expires_in_seconds": ticket.ttl_s,
        "media_url": ticket.media_url,
    }


def _refused(code: str) -> Refused:
    problem = PROBLEMS[code]
    return Refused(code=code, title=problem.message, action=problem.action)
