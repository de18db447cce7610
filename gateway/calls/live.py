"""Holds the live calls of one node: assigns each media socket to its call, and drains the node."""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from billing.ports import SpendGate
from billing.rating import Rate
from database.errors import StoreUnavailableError
from gateway.browser.leg import BrowserLeg
from gateway.browser.messages import Resume, Start
from gateway.call.carrier_status import CarrierStatus
from gateway.call.resume_token import generation_of
from gateway.call.supervision import GRANT_PREFIX
from gateway.calls import counting
from gateway.calls.bridge import Bridge
from gateway.calls.draining import DrainState
from gateway.calls.live_view import live_view, live_views
from gateway.calls.polling import INTERVAL_BEATS, Polling
from gateway.calls.reachability import Probe, Reachability, not_looked_at
from gateway.calls.services import CallServices
from gateway.calls.supervision import Grants, SupervisorDesk
from gateway.cause import CarrierRefusal, Cause
from gateway.charging.closings import keep_nothing
from gateway.charging.context import Keep
from gateway.charging.rounds import Metering
from gateway.embed.refusals import told_to_visitor
from gateway.embed.terms import VisitorTerms
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.limits.velocity import outcomes
from gateway.logs import call_events
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.nanoseconds import SECOND_NS
from gateway.ports import (
    Acceptance,
    AudioEndpoint,
    CallOrder,
    CallTokens,
    Carrier,
    CarrierLeg,
    CarrierListener,
    CarrierStreams,
    DialOrder,
    HandshakeRequest,
    LiveCall,
    MediaConnection,
    Notify,
    Refusal,
    Velocity,
    to_nobody,
)
from gateway.settings import Settings
from gateway.sound.echo import EchoCall, EchoCheck

log = structlog.get_logger(__name__)

_ID_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
"""62 bits: unguessable enough for a public id, short enough for the spend gate's append-only file,
where it is written once a second."""

_TIME_LIMIT_MARGIN_S = 30
"""How much longer than us the carrier lets a call last; its time, too, begins at the answer."""

_END_TIMEOUT_S = 20.0
"""How long ended calls may take to be confirmed and settled when the node stops."""


class Calls:
    """Every call of this node, from its token to its settlement."""

    def __init__(
        self,
        settings: Settings,
        *,
        gate: SpendGate,
        carrier: Carrier,
        tokens: CallTokens,
        velocity: Velocity,
        streams: CarrierStreams,
        metering: Metering,
        ticker: Ticker,
        end_unmatched: Callable[[str, str], None],
        found: Callable[[str, str], None],
        keep: Keep = keep_nothing,
        notify: Notify = to_nobody,
        endpoint: AudioEndpoint | None = None,
        probe: Probe = not_looked_at,
        visitor_refused: Callable[[str, str], None] = lambda _button_id, _code: None,
        on_change: Callable[[Bridge], None] = lambda _call: None,
        grants: Grants,
    ) -> None:
        """Serve calls.

        `end_unmatched` ends a carrier call that was made for a call here and that it does not use;
        `found` does the same if only the carrier says which call it belongs to. `probe` checks the
        public origin when the carrier does not seem to reach it. `visitor_refused` is called with a
        button and the code of the refusal of its visitor's call, `on_change` with a call each
        second and whenever it has changed.
        """
        self._visitor_refused = visitor_refused
        self._on_change = on_change
        self._settings = settings
        self._tokens = tokens
        self._velocity = velocity
        self._streams = streams
        self._ticker = ticker
        self._tasks: set[asyncio.Task[None]] = set()
        self._found = found
        self.refused_signatures = RefusedSignatures(ticker)
        polling = Polling(self._spawn)
        # A duty runs once a second, and polling looks ten times a second: one duty for each look.
        for slot in range(0, BEATS_PER_SECOND, INTERVAL_BEATS):
            ticker.add_duty(slot, polling.look)
        self._services = CallServices(
            settings=settings,
            gate=gate,
            carrier=carrier,
            metering=metering,
            ticker=ticker,
            spawn=self._spawn,
            polling=polling,
            reachability=Reachability(ticker.clock_ns, probe, read_ns=lambda: ticker.read_ns),
            end_unmatched=end_unmatched,
            keep=keep,
            notify=notify,
            count=partial(counting.held, velocity),
            refused=self._note_refused,
            endpoint=endpoint,
            # For this run only: no call, and so no token, outlives its process.
            resume_key=secrets.token_bytes(32),
        )
        self._calls: dict[str, Bridge] = {}
        whose = (self._calls.get, ticker, self._spawn, settings.node)
        self._supervisors = SupervisorDesk(grants, *whose)
        self._checks: dict[EchoCheck | EchoCall, CallOrder] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = DrainState(ticker.clock_ns)
        self._browser_path = f"/n/{settings.node}/media/browser"

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def is_draining(self) -> bool:
        """Whether no new calls are to be sent here."""
        return self._draining.is_draining

    def take_calls(self, takes: bool) -> bool:
        """Accept new calls, or stop until told otherwise; return whether it now accepts them."""
        log.info("told to take new calls" if takes else "told to take no new calls")
        return self._draining.take_calls(takes)

    def holds(self, call_id: str) -> bool:
        """Whether this node holds a call, live or not yet settled."""
        return call_id in self._calls

    async def of_account(
        self, account_id: str | None, since: datetime | None = None
    ) -> Sequence[LiveCall]:
        """Return an account's calls on this node (None: all accounts'), or those since a time."""
        return await live_views(self._calls.values(), account_id, since)

    async def show(self, account_id: str | None, call_id: str) -> LiveCall | None:
        """Return one of an account's calls; None if it is not on this node."""
        call = self._of(account_id, call_id)
        return None if call is None else live_view(call)

    async def end(self, account_id: str | None, call_id: str) -> LiveCall | None:
        """End one of an account's calls on request and return its state."""
        call = self._of(account_id, call_id)
        if call is None:
            return None
        call.end(Cause.MANAGER_REQUEST, "operator")
        return live_view(call)

    def visitors(self) -> Sequence[VisitorTerms]:
        """Return the terms of each call here that a visitor began, including with a test key."""
        orders = (*(call.order for call in self._calls.values()), *self._checks.values())
        return [order.visitor for order in orders if order.visitor is not None]

    def end_visitors(self, is_over: Callable[[VisitorTerms], bool]) -> None:
        """End the visitors' calls here for which `is_over` holds."""
        for call in tuple(self._calls.values()):
            if call.order.visitor is not None and is_over(call.order.visitor):
                call.end(Cause.MANAGER_REQUEST, "operator")
        for check, order in tuple(self._checks.items()):
            if isinstance(check, EchoCall) and order.visitor and is_over(order.visitor):
                check.closed()

    def _of(self, account_id: str | None, call_id: str) -> Bridge | None:
        call = self._calls.get(call_id)
        return call if call is not None and account_id in {None, call.account_id} else None

    def owns(self, call_id: str, carrier_call_id: str) -> bool:
        """Whether a carrier call, made for `call_id`, is one that a call here uses."""
        if (call := self._calls.get(call_id)) is not None and call.owns(carrier_call_id):
            return True
        # Whichever call the address names, what any live call here uses must not be hung up.
        return any(
            other.call.carrier_call_id == carrier_call_id and other.call.is_live
            for other in self._calls.values()
        )

    def route(self, request: HandshakeRequest) -> Acceptance | Refusal:
        """Decide an opening handshake on a media path."""
        if request.path == self._browser_path:
            return self._route_browser(request)
        if request.path == self._streams.path:
            return self._route_carrier(request)
        return Refusal(404, "No media socket is served at this address.")

    # Browser legs.

    def _route_browser(self, request: HandshakeRequest) -> Acceptance | Refusal:
        # Browsers always send the page's origin (RFC 6455 10.2); a program, which need not, is
        # judged by its token alone.
        origin = request.headers.get("origin", "")
        if origin and origin not in self._settings.page_origins:
            return Refusal(403, "This page may not open a media socket here.")
        # While calls run, a caller who has lost the socket may still resume one.
        if self._draining.is_closed and not self._calls:
            return Refusal(503, "This gateway is being restarted.", {"Retry-After": "5"})
        return Acceptance(lambda connection: self._attach_browser(connection, origin))

    def _attach_browser(self, connection: MediaConnection, origin: str) -> None:
        leg = BrowserLeg(connection, origin=origin, on_start=self._browser_started)
        due_ns = self._ticker.clock_ns() + self._settings.start_timeout_s * SECOND_NS
        self._ticker.when_read(due_ns, lambda: self._start_overdue(leg))

    def _start_overdue(self, leg: BrowserLeg) -> None:
        if not leg.started and not leg.is_closed:
            leg.refuse("start_timeout")

    def _browser_started(self, leg: BrowserLeg, message: Start | Resume) -> None:
        if isinstance(message, Start):
            is_grant = message.token.startswith(GRANT_PREFIX)
            begin = self._supervisors.begin if is_grant else self._redeem
            self._spawn(_answered(leg, begin(leg, message.token)))
        else:
            self._resume(leg, message)

    def _resume(self, leg: BrowserLeg, message: Resume) -> None:
        key = self._services.resume_key
        # The token is verified before the call is looked up: a refusal does not tell a stranger
        # which calls exist.
        generation = generation_of(key, message.call_id, message.token)
        bridge = None if generation is None else self._calls.get(message.call_id)
        if bridge is None or generation is None:
            leg.refuse("bad_resume")
        elif bridge.order.origin and bridge.order.origin != leg.origin:
            leg.refuse("bad_origin")
        elif not bridge.resume(leg, generation):
            leg.refuse("bad_resume")
        else:
            leg.mark_authenticated()
            self._tell_draining(bridge)

    async def _redeem(self, leg: BrowserLeg, token: str) -> None:
        redeemed = await self._tokens.redeem(token)
        # The token is still used up: it allows one attempt.
        if leg.is_closed:
            return
        if redeemed is None:
            # Anyone can send an invalid token, so this is not an event of a call.
            leg.refuse("bad_token")
            return
        order, refusal = redeemed
        if refusal := refusal or self._refusal(leg, order):
            self._refuse(leg, order, refusal)
            return
        leg.mark_authenticated()
        await self._admit(leg, order)

    async def _admit(self, leg: BrowserLeg, order: CallOrder) -> None:
        """Begin a call or a check unless a velocity limit refuses it."""
        too_fast = await counting.begun(self._velocity, order, leg.connection.peer)
        if leg.is_closed:
            return
        if too_fast is not None:
            self._refuse(leg, order, too_fast.limit.code, too_fast.wait_s)
        elif order.is_check:
            self._check(leg, order)
        # Checked again: others may have taken the last line, or the drain begun, during the await.
        elif refusal := self._refusal(leg, order):
            self._refuse(leg, order, refusal)
        else:
            self._begin(leg, order)

    def _check(self, leg: BrowserLeg, order: CallOrder) -> None:
        """Begin a line check. It is free of charge, so only a few may run at once."""
        running = [each.account_id for each in self._checks.values()]
        shared = (leg, self._services.endpoint, self._ticker)
        if running.count(order.account_id) >= self._settings.account_calls_max:
            leg.refuse("too_many_checks")
        elif len(running) >= self._settings.calls_max:
            leg.refuse("gateway_full")
        elif order.visitor is None:
            check = EchoCheck(*shared, on_end=self._checks.pop)
            self._checks[check] = order
            check.start()
        else:
            longest = min(order.visitor.seconds_max, self._settings.call_duration_max_s)
            echo = EchoCall(
                *shared, call_id=_new_call_id(), seconds_max=longest, on_end=self._checks.pop
            )
            self._checks[echo] = order
            echo.start(datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))

    def _refuse(self, leg: BrowserLeg, order: CallOrder, code: str, wait_s: int = 0) -> None:
        """Refuse a call whose token is valid."""
        self._note_refused(order, code)
        if not order.is_check:
            call_events.refused(code, node=self._settings.node, account=order.account_id)
        leg.refuse(told_to_visitor(code) if order.visitor else code, wait_s)

    def _note_refused(self, order: CallOrder, code: str) -> None:
        if order.visitor is not None and not order.is_check:
            self._visitor_refused(order.visitor.button_id, code)

    def _refusal(self, leg: BrowserLeg, order: CallOrder) -> str:
        if order.origin and order.origin != leg.origin:
            return "bad_origin"
        if self._draining.is_closed:
            return "gateway_draining"
        return "gateway_full" if len(self._calls) >= self._settings.calls_max else ""

    def _begin(self, leg: BrowserLeg, order: CallOrder) -> None:
        call_id = _new_call_id()
        bridge = Bridge(
            call_id,
            order,
            self._dial_order(call_id, order),
            leg,
            self._services,
            on_change=self._on_change,
            on_release=self._released,
        )
        self._calls[call_id] = bridge
        self._idle.clear()
        bridge.start()

    def _dial_order(self, call_id: str, order: CallOrder) -> DialOrder:
        settings = self._settings
        return DialOrder(
            call_id=call_id,
            destination=order.destination,
            ring_timeout_s=settings.ring_timeout_s,
            time_limit_s=_time_limit_s(order, settings.call_duration_max_s),
        )

    def _released(self, bridge: Bridge) -> None:
        self._calls.pop(bridge.call_id, None)
        call = bridge.call
        # By its true length, not by the seconds charged: the limit on short calls looks for
        # dialling patterns, and a call without sound, which costs nothing, is part of them.
        if call.answered_ns is not None and call.ended_ns is not None:
            seconds = (call.ended_ns - call.answered_ns) // SECOND_NS
            number, terms = bridge.order.destination, bridge.order.visitor
            # No one earns from short calls to the account's own number.
            counts = terms is None or terms.is_signed
            for outcome in outcomes(bridge.account_id, number, seconds) if counts else ():
                self._spawn(self._velocity.count(outcome))
        if not self._calls:
            self._idle.set()

    # The carrier's callbacks. The caller has checked their signatures.

    def carrier_reached(self) -> None:
        """Note that something signed by the carrier has arrived."""
        self._services.reachability.reached()

    def carrier_status(self, call_id: str, status: CarrierStatus) -> None:
        """Pass a status to its call."""
        if (call := self._calls.get(call_id)) is not None:
            call.carrier_status(status)

    def stream_failed(
        self, call_id: str, carrier_call_id: str, refusal: CarrierRefusal | None
    ) -> None:
        """Note that the carrier could not open a call's media stream, and what it says about it."""
        if (call := self._calls.get(call_id)) is not None:
            call.stream_failed(carrier_call_id, refusal)

    # Carrier legs.

    def _route_carrier(self, request: HandshakeRequest) -> Acceptance | Refusal:
        verdict = self._streams.route(request, self._stream_started)
        if isinstance(verdict, Refusal):
            self.refused_signatures.note(
                request.peer, "media handshake", self._streams.signature_hint
            )
        else:
            # Signed, and through the public origin: proves as much as a callback.
            self.carrier_reached()
        return verdict

    def _stream_started(
        self, leg: CarrierLeg, call_id: str, carrier_call_id: str
    ) -> CarrierListener | None:
        """Give a stream to the call it was made for; if that is over, end the carrier call."""
        bridge = self._calls.get(call_id)
        if bridge is not None and bridge.stream_started(leg, carrier_call_id):
            return bridge
        self._found(carrier_call_id, call_id)
        return None

    # The node.

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("call task failed", exc_info=error)

    async def drain(
        self, timeout_s: float, end_now: asyncio.Event | None = None, *, notice_s: float = 0.0
    ) -> None:
        """Take no new calls; let running ones finish, and settle them all.

        Calls still running are ended after `timeout_s`, or when `end_now` is set. Callers sent here
        by nodes that have not heard of the drain are accepted for `notice_s` more.
        """
        self._draining.stop(timeout_s, notice_s)
        for call in self._calls.values():
            self._tell_draining(call)
        if notice_s:
            await _any((end_now,), notice_s)
        if not self._calls:
            return
        log.info("draining", calls=len(self._calls), timeout_s=timeout_s)
        await _any((self._idle, end_now), max(0.0, timeout_s - notice_s))
        if self._calls:
            for call in tuple(self._calls.values()):
                call.end(Cause.SYSTEM_SHUTDOWN, "gateway")
            await _any((self._idle,), _END_TIMEOUT_S)
        if self._calls:
            log.critical("calls not settled before the end", calls=len(self._calls))
        # What still runs is waiting for a store or carrier that is away. The gate keeps these calls
        # open: this node's next run, or another node, settles them.
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell_draining(self, call: Bridge) -> None:
        if (left_s := self._draining.left_s) is not None:
            call.tell_draining(left_s)


async def _answered(leg: BrowserLeg, begun: Awaitable[None]) -> None:
    """Act on a token, or tell its client that this failed."""
    try:
        await begun
    except StoreUnavailableError:
        leg.refuse("store_unavailable")
    except Exception:
        # A bug of ours: without an answer the client would wait, because nothing times this out.
        log.exception("token not redeemed")
        leg.refuse("internal_error")


async def _any(events: Sequence[asyncio.Event | None], timeout_s: float) -> None:
    """Wait until one of the given events is set, or the time is over."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events if event is not None]
    # Never set: without events this just waits for the time-out.
    waiting.append(asyncio.ensure_future(asyncio.Event().wait()))
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _new_call_id() -> str:
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))


def _time_limit_s(order: CallOrder, most_s: int) -> int:
    """Return after how many seconds the carrier ends a call that has not been ended before."""
    # The cap per call is fixed for the call. The balance does not limit it: a top-up may raise the
    # balance while the call runs, and the carrier's limit is set once.
    limit_micros = order.limits.call_micros
    if order.visitor is not None:
        most_s = min(most_s, order.visitor.seconds_max + _TIME_LIMIT_MARGIN_S)
    if limit_micros is None:
        return most_s
    reach_s = Rate.from_json(order.rate).affordable_seconds(limit_micros, most_s)
    return min(most_s, reach_s + _TIME_LIMIT_MARGIN_S)
