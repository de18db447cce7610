"""The live calls of one node: who may open a media socket, which call it belongs to, and the drain.

Knows no HTTP beyond the opening handshake and no price.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from billing.errors import StoreUnavailableError
from billing.ports import SpendGate
from billing.rating import Rate
from gateway.browser.leg import BrowserLeg
from gateway.browser.messages import Resume, Start
from gateway.call.carrier_status import CarrierStatus
from gateway.call.resume_token import generation_of
from gateway.calls.bridge import Bridge
from gateway.calls.polling import INTERVAL_BEATS, Polling
from gateway.calls.reachability import Probe, Reachability, not_looked_at
from gateway.calls.services import Services
from gateway.cause import Cause
from gateway.charging.closings import keep_nothing
from gateway.charging.context import Keep
from gateway.charging.rounds import Metering
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.limits.velocity import call_uses, outcome
from gateway.logs import call_events
from gateway.logs.refused_signatures import CARRIER_HINT, RefusedSignatures
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
from gateway.sound.echo_check import EchoCheck

log = logging.getLogger(__name__)

_ID_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
"""62 bits: unguessable enough for a public id, short enough for the spend gate's log."""

OVER_MAX = 1_000
"""Calls of the carrier that are remembered to be over, so that they are not ended once more."""

_TIME_LIMIT_MARGIN_S = 30
"""How long after its own end a call may last at the carrier, whose time begins at its answer."""

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
        stray: Callable[[str, str], None],
        keep: Keep = keep_nothing,
        notify: Notify = to_nobody,
        endpoint: AudioEndpoint | None = None,
        probe: Probe = not_looked_at,
    ) -> None:
        """Serve calls; `stray` ends a call of the carrier that was made for one of them.

        `probe` looks at the public origin when the carrier does not seem to reach it.
        """
        self._settings = settings
        self._tokens = tokens
        self._velocity = velocity
        self._streams = streams
        self._ticker = ticker
        self._tasks: set[asyncio.Task[None]] = set()
        self._stray = stray
        self.refused_signatures = RefusedSignatures(ticker)
        polling = Polling(self._spawn)
        for slot in range(0, BEATS_PER_SECOND, INTERVAL_BEATS):
            ticker.add_duty(slot, polling.look)
        self._services = Services(
            settings=settings,
            gate=gate,
            carrier=carrier,
            metering=metering,
            ticker=ticker,
            spawn=self._spawn,
            polling=polling,
            reachability=Reachability(ticker.clock_ns, probe, read_ns=lambda: ticker.read_ns),
            stray=stray,
            keep=keep,
            notify=notify,
            endpoint=endpoint,
            resume_key=secrets.token_bytes(32),
        )
        self._calls: dict[str, Bridge] = {}
        self._over: dict[str, None] = {}
        """The carrier's calls of which it has said that they are over, oldest first."""
        self._checks: dict[EchoCheck, str] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.is_draining = False
        self._drained_ns = 0
        """When calls that still run will be ended, once the node drains."""
        self._browser_path = f"/n/{settings.node}/media/browser"

    def __len__(self) -> int:
        return len(self._calls)

    def holds(self, call_id: str) -> bool:
        """Whether this node holds a call, live or not settled yet."""
        return call_id in self._calls

    async def of_account(self, account_id: str) -> Sequence[LiveCall]:
        """Return an account's calls on this node."""
        return [_view(call) for call in self._calls.values() if call.account_id == account_id]

    async def show(self, account_id: str, call_id: str) -> LiveCall | None:
        """Return one of an account's calls; None where it is not on this node."""
        call = self._of(account_id, call_id)
        return None if call is None else _view(call)

    async def end(self, account_id: str, call_id: str) -> LiveCall | None:
        """End one of an account's calls on request and return how it stands."""
        call = self._of(account_id, call_id)
        if call is None:
            return None
        call.end(Cause.MANAGER_REQUEST, "operator")
        return _view(call)

    def _of(self, account_id: str, call_id: str) -> Bridge | None:
        call = self._calls.get(call_id)
        return call if call is not None and call.account_id == account_id else None

    def owns(self, call_id: str, carrier_call_id: str) -> bool:
        """Whether a call of the carrier, made for `call_id`, is one that a call here lives on.

        Also one that a call lived on until the carrier ended it: late callbacks are ordinary.
        """
        call = self._calls.get(call_id)
        if carrier_call_id in self._over or (call is not None and call.owns(carrier_call_id)):
            return True
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
        origin = request.headers.get("origin", "")
        if origin and origin not in self._settings.page_origins:
            return Refusal(403, "This page may not open a media socket here.")
        if self.is_draining and not self._calls:
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
            self._spawn(self._redeem(leg, message.token))
        else:
            self._resume(leg, message)

    def _resume(self, leg: BrowserLeg, message: Resume) -> None:
        key = self._services.resume_key
        generation = generation_of(key, message.call_id, message.token)
        bridge = None if generation is None else self._calls.get(message.call_id)
        if bridge is None or generation is None:
            leg.refuse("bad_resume")
        elif bridge.order.origin and bridge.order.origin != leg.origin:
            leg.refuse("bad_origin")
        elif not bridge.resume(leg, generation):
            leg.refuse("bad_resume")
        else:
            leg.vouch()
            if self.is_draining:
                self._tell_draining(bridge)

    async def _redeem(self, leg: BrowserLeg, token: str) -> None:
        try:
            order = await self._tokens.redeem(token)
        except StoreUnavailableError:
            leg.refuse("store_unavailable")
            return
        except Exception:
            log.exception("A call token could not be read.")
            leg.refuse("internal_error")
            return
        if leg.is_closed:
            return
        refusal = self._refusal(leg, order)
        if order is None:
            # Anyone can send a token that is none, so that is no event of a call.
            leg.refuse(refusal)
            return
        if refusal:
            self._refuse(leg, order, refusal)
            return
        leg.vouch()
        if order.is_check:
            self._check(leg, order.account_id)
        else:
            await self._admit(leg, order)

    async def _admit(self, leg: BrowserLeg, order: CallOrder) -> None:
        """Begin a call if that is not too fast: tokens may have been saved up."""
        too_fast = await self._velocity.hit(
            call_uses(order.account_id, order.key_id, leg.connection.peer, order.destination)
        )
        if leg.is_closed:
            return
        if too_fast is not None:
            self._refuse(leg, order, too_fast.limit.code, too_fast.wait_s)
        elif refusal := self._refusal(leg, order):
            self._refuse(leg, order, refusal)
        else:
            self._begin(leg, order)

    def _check(self, leg: BrowserLeg, account_id: str) -> None:
        """Let a caller hear themselves; it costs nothing, so few at once."""
        running = list(self._checks.values())
        if running.count(account_id) >= self._settings.account_calls_max:
            leg.refuse("too_many_checks")
        elif len(running) >= self._settings.calls_max:
            leg.refuse("gateway_full")
        else:
            check = EchoCheck(leg, self._services.endpoint, self._ticker, on_end=self._checks.pop)
            self._checks[check] = account_id
            check.start()

    def _refuse(self, leg: BrowserLeg, order: CallOrder, code: str, wait_s: int = 0) -> None:
        """Refuse a call whose token is good."""
        if not order.is_check:
            call_events.refused(code, node=self._settings.node, account=order.account_id)
        leg.refuse(code, wait_s)

    def _refusal(self, leg: BrowserLeg, order: CallOrder | None) -> str:
        if order is None:
            return "bad_token"
        if order.origin and order.origin != leg.origin:
            return "bad_origin"
        if self.is_draining:
            return "gateway_draining"
        return "gateway_full" if len(self._calls) >= self._settings.calls_max else ""

    def _begin(self, leg: BrowserLeg, order: CallOrder) -> None:
        call_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
        bridge = Bridge(
            call_id,
            order,
            self._dial_order(call_id, order),
            leg,
            self._services,
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
        carrier_call_id = bridge.call.carrier_call_id
        if carrier_call_id and bridge.owns(carrier_call_id):
            self._over[carrier_call_id] = None
            if len(self._over) > OVER_MAX:
                del self._over[next(iter(self._over))]
        call = bridge.call
        if call.answered_ns is not None and call.ended_ns is not None:
            seconds = (call.ended_ns - call.answered_ns) // SECOND_NS
            self._spawn(self._velocity.count(outcome(bridge.account_id, seconds)))
        if not self._calls:
            self._idle.set()

    # The carrier's callbacks.

    def carrier_reached(self) -> None:
        """Note that something signed by the carrier has come."""
        self._services.reachability.reached()

    def carrier_status(self, call_id: str, status: CarrierStatus) -> None:
        """Take a call's status."""
        if (call := self._calls.get(call_id)) is not None:
            call.carrier_status(status)

    def stream_failed(self, call_id: str, carrier_call_id: str) -> None:
        """Note that the carrier could not open the media stream of a call."""
        if (call := self._calls.get(call_id)) is not None:
            call.stream_failed(carrier_call_id)

    # Carrier legs.

    def _route_carrier(self, request: HandshakeRequest) -> Acceptance | Refusal:
        verdict = self._streams.route(request, self._stream_started)
        if isinstance(verdict, Refusal):
            self.refused_signatures.note(request.peer, "media handshake", CARRIER_HINT)
        else:
            self.carrier_reached()
        return verdict

    def _stream_started(
        self, leg: CarrierLeg, call_id: str, carrier_call_id: str
    ) -> CarrierListener | None:
        """Give a stream to the call it was made for; end what it shows if that call is over."""
        bridge = self._calls.get(call_id)
        if bridge is not None and bridge.stream_started(leg, carrier_call_id):
            return bridge
        self._stray(carrier_call_id, call_id)
        return None

    # The node.

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A background task of a call failed.", exc_info=error)

    async def drain(self, timeout_s: float, hurry: asyncio.Event | None = None) -> None:
        """Take no new calls; let running ones finish, and settle them all.

        They are ended at the deadline, or when `hurry` is set.
        """
        self.is_draining = True
        if not self._calls:
            return
        self._drained_ns = self._ticker.clock_ns() + round(timeout_s * SECOND_NS)
        for call in self._calls.values():
            self._tell_draining(call)
        log.info("Draining: %d calls, at most %.0f s.", len(self._calls), timeout_s)
        if not await self._wait_idle(timeout_s, hurry):
            for call in tuple(self._calls.values()):
                call.end(Cause.SYSTEM_SHUTDOWN, "gateway")
            await self._wait_idle(_END_TIMEOUT_S)
        if self._calls:
            log.critical("%d calls could not be settled before the end.", len(self._calls))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell_draining(self, call: Bridge) -> None:
        left_ns = self._drained_ns - self._ticker.clock_ns()
        call.tell_draining(max(0, left_ns // SECOND_NS))

    async def _wait_idle(self, timeout_s: float, hurry: asyncio.Event | None = None) -> bool:
        events = (self._idle,) if hurry is None else (self._idle, hurry)
        waiting = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        return self._idle.is_set()


def _view(call: Bridge) -> LiveCall:
    seconds, cost_micros = call.used()
    return LiveCall(
        opened=call.opened,
        answered_at=call.answered_at,
        ended_at=call.ended_at,
        seconds=seconds,
        cost_micros=cost_micros,
        unused_micros=call.unused_micros,
        carrier_call_id=call.call.carrier_call_id,
        cause=call.call.cause,
        ended_by=call.call.ended_by,
    )


def _time_limit_s(order: CallOrder, most_s: int) -> int:
    """Return when the carrier is to end a call that nobody else has ended.

    A cap per call is never raised while the call runs, as credit may be.
    """
    limit_micros = order.limits.call_micros
    if limit_micros is None:
        return most_s
    reach_s = Rate.from_json(order.rate).affordable_seconds(limit_micros, most_s)
    return min(most_s, reach_s + _TIME_LIMIT_MARGIN_S)
