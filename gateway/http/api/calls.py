"""`/v1`: call tokens, live calls and call records of the API key's account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.cdr import CallClosed, CallOpened, CallRecord, LegQuality
from billing.ports import CdrStore, LedgerStore, SpendGate, Tick
from billing.rating import Rate
from gateway.browser import messages as wire
from gateway.browser.reports import limited_by, money, quote
from gateway.call.number import destination
from gateway.calls.bridge import Bridge
from gateway.calls.closed_book import ClosedBook
from gateway.calls.live import Calls
from gateway.cause import Cause
from gateway.charging.rate_book import RateBook
from gateway.charging.recovery import bring_credits
from gateway.errors import PROBLEMS, RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator, Sender
from gateway.http.body import page_asked_for, read_json
from gateway.http.problems import Json
from gateway.http.velocity import refuse, who
from gateway.limits.velocity import call_uses, quote_uses, token_uses
from gateway.logs import call_events
from gateway.ports import Account, CallOrder, CallTokens, Velocity
from gateway.scopes import Scope
from gateway.settings import Settings


class TokenRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/call-tokens`."""

    destination: Annotated[str, msgspec.Meta(max_length=64)]
    codec: str = "pcmu"
    origin: Annotated[str, msgspec.Meta(max_length=256)] = ""


class QuoteRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/quotes`: a number goes in a body, for addresses are logged on the way."""

    destination: Annotated[str, msgspec.Meta(max_length=64)]


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
    """What a call token would be refused for, in the words of its problem."""

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


class CallView(msgspec.Struct, kw_only=True, omit_defaults=False):
    """One call as the API shows it. Times are RFC 3339 in UTC."""

    id: str
    state: Literal["live", "settling", "ended"]
    """`settling` is a call that has ended and whose record is still being written."""
    destination: str
    country: str
    codec: str
    node: str
    created_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: int = 0
    cost: wire.Money | None
    """What a live call has used and an ended one was charged, never what is held; null while a call
    is settling."""
    cause: int | None = None
    cause_name: str | None = None
    cause_message: str | None = None
    ended_by: str | None = None
    carrier_call_id: str | None = None
    carrier_seconds: int | None = None
    browser: LegQuality | None = None
    carrier: LegQuality | None = None


@dataclass(frozen=True, slots=True)
class CallsApi:
    """Handlers of the calls' resources."""

    settings: Settings
    auth: Authenticator
    calls: Calls
    tokens: CallTokens
    velocity: Velocity
    gate: SpendGate
    ledger: LedgerStore
    records: CdrStore
    deck: RateBook
    closed_book: ClosedBook
    on_balance: Callable[[str, int], None] = lambda _account_id, _micros: None
    """Told what an account has left when that does not cover a call."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        route = self.auth.route
        return [
            route("/v1/quotes", self.quote_call, Scope.CALLS, method="POST"),
            route("/v1/call-tokens", self.issue_token, Scope.CALLS, method="POST"),
            route("/v1/check-tokens", self.issue_check_token, Scope.CALLS, method="POST"),
            route("/v1/live-calls", self.list_live_calls, Scope.CALLS),
            route("/v1/calls", self.list_calls, Scope.RECORDS),
            route("/v1/calls/{call_id}", self.show_call, Scope.RECORDS),
            route("/v1/calls/{call_id}", self.end_call, Scope.CALLS, method="DELETE"),
            route("/v1/account", self.show_account, Scope.ACCOUNT),
            route("/v1/phonebook", self.show_phonebook, Scope.CALLS),
        ]

    async def quote_call(self, request: Request, sender: Sender) -> Response:
        """Say what a call would cost and how long it could last, or why it may not be placed.

        Nothing is promised. People ask while they type, so that a refusal is an ordinary answer.
        """
        refuse(await self.velocity.hit(quote_uses(*who(request, sender.account))))
        body = await read_json(request, QuoteRequest)
        try:
            order, rate, balance = await self._order(sender, body.destination)
        except RequestRefusedError as refused:
            return Json(QuoteRefusal(refusal=_refused(refused.code)))
        return Json(QuoteReply(**self._quote(order, rate, balance)))

    async def issue_token(self, request: Request, sender: Sender) -> Response:
        """Quote a call and return the token that allows it, once."""
        refuse(await self.velocity.hit(token_uses(*who(request, sender.account))))
        body = await read_json(request, TokenRequest)
        try:
            return await self._issue_token(request, sender, body)
        except RequestRefusedError as error:
            call_events.refused(error.code, node=self.settings.node, account=sender.account.id)
            raise

    async def _issue_token(self, request: Request, sender: Sender, body: TokenRequest) -> Response:
        if self.calls.is_draining:
            raise RequestRefusedError("gateway_draining")
        if body.codec not in wire.FRAME_BYTES:
            raise RequestRefusedError("codec_unknown", field="codec")
        order, rate, balance = await self._order(sender, body.destination)
        uses = call_uses(*who(request, sender.account), order.destination)
        refuse(await self.velocity.look(uses))
        origin = self._bound_origin(request, body.origin)
        order = msgspec.structs.replace(order, codec=body.codec, origin=origin)
        token = await self.tokens.issue(order)
        quoted = self._quote(order, rate, balance)
        return Json(TokenReply(codec=order.codec, **self._ticket(order, token), **quoted), 201)

    async def issue_check_token(self, request: Request, sender: Sender) -> Response:
        """Return the token that allows one check of the line, which is free of charge."""
        account = sender.account
        refuse(await self.velocity.hit(token_uses(*who(request, account))))
        body = await read_json(request, CheckTokenRequest)
        if account.frozen:
            raise RequestRefusedError("account_frozen")
        if self.calls.is_draining:
            raise RequestRefusedError("gateway_draining")
        order = CallOrder(
            account_id=account.id,
            destination="",
            country="",
            codec="pcmu",
            origin=self._bound_origin(request, body.origin),
            currency=account.currency,
            rate="",
            rate_description="",
            key_id=account.key_id,
            key_epoch=sender.epoch,
            key_expires_at=account.key_expires_at,
            is_check=True,
        )
        token = await self.tokens.issue(order)
        return Json(CheckTokenReply(**self._ticket(order, token)), 201)

    async def _order(self, sender: Sender, number: str) -> tuple[CallOrder, Rate, int]:
        """Return the call that a sender may place, its rate and the account's balance.

        Raises RequestRefusedError where they may not place it.
        """
        account = sender.account
        if account.frozen:
            raise RequestRefusedError("account_frozen")
        dialled = destination(number, self.closed_book.closed)
        entry = self.deck.lookup(dialled.number)
        if entry is None:
            raise RequestRefusedError("destination_not_priced", field="destination")
        balance = await self._balance(account.id, entry.rate.cost(1))
        order = CallOrder(
            account_id=account.id,
            destination=dialled.number,
            country=dialled.country,
            codec="pcmu",
            origin="",
            currency=account.currency,
            rate=entry.rate.to_json(),
            rate_description=entry.description,
            balance_micros=await self._headroom(account, balance, entry.rate.cost(1)),
            limits=account.limits,
            key_id=account.key_id,
            key_epoch=sender.epoch,
            key_expires_at=account.key_expires_at,
        )
        return order, entry.rate, balance

    async def _balance(self, account_id: str, needed_micros: int) -> int:
        """Return the balance. Raises RequestRefusedError where it does not reach."""
        balance = await self.gate.balance(account_id)
        if balance < needed_micros:
            # A credit may be booked that the spend gate has yet to see.
            await bring_credits(self.gate, self.ledger, account_id)
            balance = await self.gate.balance(account_id)
        if balance < needed_micros:
            self.on_balance(account_id, balance)
            raise RequestRefusedError("insufficient_credit")
        return balance

    async def _headroom(self, account: Account, balance: int, needed_micros: int) -> int:
        """Return what the balance and the caps leave for a call of any length.

        Raises RequestRefusedError where a cap does not leave enough for its first increment.
        """
        caps = account.limits.caps(datetime.now(UTC))
        headrooms = [balance]
        if caps:
            # A claim of nothing, for no call, changes nothing and tells what has been spent.
            partition = self.gate.partition(account.id)
            outcome = await self.gate.tick(partition, [Tick("", account.id, 0, 0, caps)])
            headrooms += [cap.limit_micros - outcome.spent.get(cap.name, 0) for cap in caps]
        per_call = account.limits.call_micros
        if min(*headrooms, balance if per_call is None else per_call) < needed_micros:
            raise RequestRefusedError("cap_reached")
        return min(headrooms)

    def _bound_origin(self, request: Request, wanted: str) -> str:
        """Bind a page's token to the page; a program may name the page it asks for."""
        origin = request.headers.get("origin", "") or wanted
        if origin and origin not in self.settings.page_origins:
            raise RequestRefusedError("bad_origin", field="origin")
        return origin

    def _quote(self, order: CallOrder, rate: Rate, balance: int) -> dict[str, Any]:
        bounds = (order.balance_micros, order.limits.call_micros)
        reach_micros = min([balance, *(bound for bound in bounds if bound is not None)])
        longest_s = self.settings.call_duration_max_s
        seconds = rate.affordable_seconds(reach_micros, longest_s)
        return {
            "destination": order.destination,
            "country": order.country,
            "rate": quote(order, rate),
            "balance": money(balance, order.currency),
            "affordable_seconds": seconds,
            "limited_by": limited_by(seconds, longest_s, is_capped=reach_micros < balance),
        }

    def _ticket(self, order: CallOrder, token: str) -> dict[str, Any]:
        expires_at = datetime.now(UTC) + timedelta(seconds=self.tokens.ttl_s)
        return {
            "token": token,
            "expires_at": expires_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "expires_in_seconds": self.tokens.ttl_s,
            "media_url": self._media_url(order.origin),
        }

    def _media_url(self, page_origin: str) -> str:
        """Return the socket's address, on the page's own origin where there is one."""
        own = urlsplit(self.settings.origin)
        page = urlsplit(page_origin)
        is_own_page = page_origin and page.port == own.port and page.scheme == own.scheme
        netloc = page.netloc if is_own_page and own.hostname in _LOOPBACK else own.netloc
        scheme = "wss" if own.scheme == "https" else "ws"
        return f"{scheme}://{netloc}/n/{self.settings.node}/media/browser"

    async def list_live_calls(self, _request: Request, sender: Sender) -> Response:
        """Return the account's live calls on this node, newest first."""
        return Json({"calls": self._live_views(sender.account.id)})

    async def list_calls(self, request: Request, sender: Sender) -> Response:
        """Return a page of the account's calls, newest first."""
        account = sender.account
        limit, before = page_asked_for(request)
        records = await self.records.page(account.id, limit=limit + 1, before=before)
        views = [self._record_view(record) for record in records[:limit]]
        if before is None:
            recorded = {view.id for view in views}
            live = self._live_views(account.id)
            views = [view for view in live if view.id not in recorded] + views
        following = views[-1].id if len(records) > limit else None
        return Json({"calls": views, "next": following})

    async def show_call(self, request: Request, sender: Sender) -> Response:
        """Return one call, live or ended."""
        account = sender.account
        call_id = request.path_params["call_id"]
        live = self._live(account.id, call_id)
        if live is not None:
            return Json(_live_view(live))
        record = await self.records.get(account.id, call_id)
        if record is None:
            raise RequestRefusedError("call_not_found")
        return Json(self._record_view(record))

    async def end_call(self, request: Request, sender: Sender) -> Response:
        """End a live call; 202 because the carrier has yet to confirm it."""
        account = sender.account
        call_id = request.path_params["call_id"]
        live = self._live(account.id, call_id)
        if live is not None:
            live.end(Cause.MANAGER_REQUEST, "operator")
            return Json(_live_view(live), 202)
        if await self.records.get(account.id, call_id) is None:
            raise RequestRefusedError("call_not_found")
        raise RequestRefusedError("call_ended")

    async def show_account(self, _request: Request, sender: Sender) -> Response:
        """Return the account's balance: what is held for calls here is spent only once used."""
        account = sender.account
        balance = await self.gate.balance(account.id) + self.calls.unused_micros(account.id)
        return Json(
            {
                "id": account.id,
                "currency": account.currency,
                "balance": money(balance, account.currency),
                "live_calls": len(self.calls.of_account(account.id)),
            }
        )

    async def show_phonebook(self, _request: Request, _sender: Sender) -> Response:
        """Return the operator's suggestions for the dial field."""
        pairs = (entry.partition("=") for entry in self.settings.phonebook)
        return Json({"entries": [{"number": n, "label": label} for n, _, label in pairs]})

    def _live_views(self, account_id: str) -> list[CallView]:
        views = [_live_view(call) for call in self.calls.of_account(account_id)]
        return sorted(views, key=lambda view: view.created_at, reverse=True)

    def _live(self, account_id: str, call_id: str) -> Bridge | None:
        call = self.calls.find(call_id)
        return call if call is not None and call.account_id == account_id else None

    def _record_view(self, record: CallRecord) -> CallView:
        live = self._live(record.opened.account_id, record.opened.call_id)
        if live is not None:
            return _live_view(live)
        if record.closed is not None:
            return _ended_view(record, record.closed)
        return _unbooked_view(record, is_own=record.opened.node == self.settings.node)


_LOOPBACK = frozenset({"127.0.0.1", "localhost"})


def _refused(code: str) -> Refused:
    problem = PROBLEMS[code]
    return Refused(code=code, title=problem.message, action=problem.action)


def _view(opened: CallOpened, **fields: Any) -> CallView:
    return CallView(
        id=opened.call_id,
        destination=opened.destination,
        country=opened.country,
        codec=opened.codec,
        node=opened.node,
        created_at=opened.created_at,
        **fields,
    )


def _live_view(call: Bridge) -> CallView:
    """Show a call that this node has: live, or ended and not settled yet."""
    seconds, cost_micros = call.used()
    view = _view(
        call.opened,
        state="live",
        answered_at=call.answered_at,
        seconds=seconds,
        cost=money(cost_micros, call.opened.currency),
        carrier_call_id=call.call.carrier_call_id or None,
    )
    if call.ended_at is not None:
        cause = call.call.cause or Cause.NORMAL_TEMPORARY_FAILURE
        view.state, view.cost, view.ended_at = "settling", None, call.ended_at
        view.cause, view.cause_name, view.cause_message = cause, cause.name, cause.message
        view.ended_by = call.call.ended_by
    return view


def _unbooked_view(record: CallRecord, *, is_own: bool) -> CallView:
    """Show a call by a record whose end is not booked.

    One that this node began and no longer has is over; another node's may be live.
    """
    used = money(record.cost_micros, record.opened.currency)
    return _view(
        record.opened,
        state="settling" if is_own else "live",
        seconds=record.used_s,
        cost=None if is_own else used,
    )


def _ended_view(record: CallRecord, closed: CallClosed) -> CallView:
    return _view(
        record.opened,
        state="ended",
        answered_at=closed.answered_at,
        ended_at=closed.ended_at,
        seconds=closed.seconds,
        cost=money(record.cost_micros, record.opened.currency),
        cause=closed.cause,
        cause_name=closed.cause_name,
        cause_message=Cause(closed.cause).message,
        ended_by=closed.ended_by,
        carrier_call_id=closed.carrier_call_id or None,
        carrier_seconds=closed.carrier_seconds,
        browser=closed.browser,
        carrier=closed.carrier,
    )
