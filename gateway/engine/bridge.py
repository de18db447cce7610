"""One call at work: feeds its state machine and performs the commands that come back.

The legs, the carrier and the meter report to it. It owns the order in which things happen to a
call. What may happen is `call.py`'s word, what it costs the meter's, how the carrier is asked
`carrier_line.py`'s.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from billing.cdr import CallClosed, CallOpened, EndedBy
from billing.errors import StoreUnavailableError
from billing.meter import CallMeter, CutOff
from billing.ports import CloseResult, Closing, Opening, OpenOutcome, OpenResult, SpendGate
from billing.rating import Rate
from gateway import browser_media as wire
from gateway.call import (
    LIVE,
    TALKING,
    Call,
    CarrierEnded,
    Command,
    Ended,
    Event,
    HeldByCaller,
    HoldPlaced,
    HoldRefused,
    Requested,
    ResumedByCaller,
    Settled,
    State,
    StreamStarted,
)
from gateway.cause import Cause
from gateway.engine import reports
from gateway.engine.call_media import CallMedia
from gateway.engine.carrier_line import CarrierLine
from gateway.engine.metering import Metering
from gateway.engine.ticker import BEATS_PER_SECOND, Deadline, Ticker
from gateway.errors import UnexpectedEventError
from gateway.legs.browser import BrowserLeg
from gateway.legs.carrier import CarrierLeg
from gateway.ports import CallOrder, Carrier, DialOrder
from gateway.settings import Settings
from gateway.twilio_status import CarrierStatus

log = logging.getLogger(__name__)

SECOND_NS = 1_000_000_000
END_TONE_NS = 2_400_000_000
"""How long a busy or congestion tone is played before the caller is told in words."""

_POLL_AFTER_NS = 20 * SECOND_NS
"""How long a call that is being placed may be without news before the carrier is asked."""

_DIAL_MARGIN_NS = 30 * SECOND_NS
"""Twilio may ring five seconds longer than asked, and may queue a call before that."""

_SETTLE_BACKOFF_S_MAX = 10.0

_LATE_HOLD_S = 5.0
"""How long a request to the spend gate may still be on its way after its time-out."""

_CUT_OFFS: dict[CutOff, tuple[Cause, EndedBy]] = {
    CutOff.CREDIT: (Cause.ALLOTTED_TIMEOUT, "credit"),
    CutOff.DURATION: (Cause.ALLOTTED_TIMEOUT, "limit"),
    CutOff.GRACE: (Cause.NORMAL_TEMPORARY_FAILURE, "gateway"),
}


@dataclass(frozen=True, slots=True)
class Services:
    """What every call of a node needs."""

    settings: Settings
    gate: SpendGate
    carrier: Carrier
    metering: Metering
    ticker: Ticker
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    """Runs a coroutine of a call in the background; the node waits for it when it stops."""


class Bridge:
    """One call between a browser leg and a carrier leg."""

    meter: CallMeter
    """Charges the call; there is none before the first hold is placed."""

    def __init__(
        self,
        call_id: str,
        order: CallOrder,
        dial_order: DialOrder,
        browser: BrowserLeg,
        services: Services,
        *,
        is_taken: Callable[[str], bool],
        on_release: Callable[[Bridge], None],
    ) -> None:
        self.call_id = call_id
        self.account_id = order.account_id
        self.order = order
        self.call = Call()
        self._s = services
        self._clock_ns = services.ticker.clock_ns
        self._wall = reports.WallClock(self._clock_ns(), datetime.now(UTC))
        self.opened: CallOpened = reports.opened(
            call_id, order, services.settings.node, self._wall.date(self._clock_ns())
        )
        self._rate = Rate.from_json(order.rate)
        self._token = dial_order.token
        self._line = CarrierLine(services.carrier, dial_order, self.receive, is_taken)
        self._browser: BrowserLeg | None = browser
        self._carrier_leg: CarrierLeg | None = None
        self._media = CallMedia(
            browser.connection,
            codec=order.codec,
            country=order.country,
            lead_ns_max=services.settings.playout_lead_max_ms * 1_000_000,
            ticker=services.ticker,
            tell=self._tell,
            on_bad_frame=self._refuse_frame,
        )
        self._on_release = on_release
        self._events: list[tuple[Event, int]] = []
        self._is_receiving = False
        self._refusal = ""
        self._cut_off: Deadline | None = None
        self._cut_off_ns = 0
        self._end_tone: Deadline | None = None
        self._dialled_ns = self._news_ns = self._clock_ns()
        self._balance_micros = 0
        self._final = (0, 0)
        self._slot = hash(call_id) % BEATS_PER_SECOND

    # What the outside reports.

    def start(self) -> None:
        """Begin the call; its browser leg is ready."""
        if self._browser is not None:
            self._browser.listener = self
            self._browser.take_audio(self._media.take_frame)
        self._tell(reports.ready(self.call_id, self.order, self._rate))
        self._s.ticker.add_duty(self._slot, self._each_second)
        self._s.ticker.add_duty(self._slot + BEATS_PER_SECOND // 2, self._each_half_second)
        self.receive(Requested())

    def receive(self, event: Event, at_ns: int | None = None) -> None:
        """Take one event; events that commands cause are taken after it, in order."""
        self._events.append((event, self._clock_ns() if at_ns is None else at_ns))
        if self._is_receiving:
            return
        self._is_receiving = True
        try:
            while self._events:
                self._advance(*self._events.pop(0))
        finally:
            self._is_receiving = False

    def _advance(self, event: Event, at_ns: int) -> None:
        self._news_ns = at_ns
        if isinstance(event, CarrierEnded):
            self._line.is_over = True
        try:
            commands = self.call.receive(event, at_ns)
        except UnexpectedEventError as error:
            log.exception("Call %s: %s in %s.", self.call_id, error.event, error.state)
            return
        for command in commands:
            _PERFORM[command](self)

    def carrier_status(self, status: CarrierStatus) -> None:
        """Take a status callback; one of another carrier call is none of ours."""
        if status.carrier_call_id:
            self._line.named(status.carrier_call_id)
        if status.carrier_call_id != self._line.carrier_call_id:
            log.warning("Call %s: a callback of another carrier call.", self.call_id)
            return
        event = status.event()
        if event is not None:
            self.receive(event)

    def stream_started(self, leg: CarrierLeg, carrier_call_id: str, token: str) -> bool:
        """Take the carrier's media stream; False for one that is not this call's, or is late."""
        known = self._line.carrier_call_id
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return False
        if self._carrier_leg is not None or self.call.state not in LIVE:
            return False
        if known and known != carrier_call_id:
            return False
        self._carrier_leg = leg
        if not known:
            self._line.named(carrier_call_id)
        self.receive(StreamStarted())
        return True

    def stream_digit(self, digit: str) -> None:
        """Tell the caller which key was pressed at the phone."""
        self._tell(wire.DtmfReceived(digit=digit))

    def stream_ended(self, *, properly: bool) -> None:
        """The carrier's stream is over: the callee hung up, or the connection is lost."""
        if properly:
            self.receive(Ended(Cause.NORMAL_CLEARING, "callee"))
        else:
            self.receive(Ended(Cause.NETWORK_OUT_OF_ORDER, "carrier"))

    def browser_message(self, message: wire.ClientMessage) -> None:
        """Do what the caller asks."""
        match message:
            case wire.Hangup():
                self.end(self._caller_cause(), "caller")
                if self._end_tone is not None:
                    self._tell_end()
            case wire.Mute(muted=muted):
                self._media.mute(muted)
                self._tell(wire.Mute(muted=muted))
            case wire.Hold(held=held):
                self.receive(HeldByCaller() if held else ResumedByCaller())
                self._tell(wire.Hold(held=self.call.state is State.ON_HOLD))
            case wire.SendDtmf(digits=digits):
                self._media.press(digits)

    def browser_closed(self, _code: int) -> None:
        """The caller is gone."""
        self._browser = None
        self.end(self._caller_cause(), "caller")

    def end(self, cause: Cause, ended_by: EndedBy, at_ns: int | None = None) -> None:
        """End the call for a reason; repeating it is harmless."""
        if self.call.state not in (State.NEW, State.SETTLED):
            self.receive(Ended(cause, ended_by), at_ns)

    def _caller_cause(self) -> Cause:
        answered = self.call.answered_ns is not None
        return Cause.NORMAL_CLEARING if answered else Cause.ORIGINATOR_CANCEL

    def used(self) -> tuple[int, int]:
        """Return the seconds charged for so far and their price in micros."""
        if self.call.answered_ns is None or self.call.ended_ns is not None:
            return self._final
        now_ns = self._clock_ns()
        return self.meter.elapsed_s(now_ns), self.meter.cost_micros(now_ns)

    @property
    def answered_at(self) -> datetime | None:
        """When the phone was answered."""
        return self._wall.date_or_none(self.call.answered_ns)

    # What the meter reports.

    def charged(self, balance_micros: int | None) -> None:
        """Arm the cut-off anew, and show the balance where it is known."""
        if balance_micros is not None:
            self._balance_micros = balance_micros
        self._arm_cut_off()

    def disowned(self) -> None:
        """Another node has settled this call."""
        self.end(Cause.NORMAL_TEMPORARY_FAILURE, "gateway")

    def _arm_cut_off(self) -> None:
        """See that `_cut` is called no later than the cut-off; called too early, it arms anew."""
        due_ns = self.meter.cut_off_ns
        if due_ns is None or (self._cut_off is not None and self._cut_off_ns <= due_ns):
            return
        if self._cut_off is not None:
            self._cut_off.cancel()
        self._cut_off_ns = due_ns
        self._cut_off = self._s.ticker.at(due_ns, self._cut)

    def _cut(self) -> None:
        """The paid time is over; charge no second beyond it."""
        self._cut_off = None
        due_ns = self.meter.cut_off_ns
        if due_ns is None or due_ns > self._clock_ns():
            self._arm_cut_off()
            return
        cause, ended_by = _CUT_OFFS[self.meter.cut_off]
        self.end(cause, ended_by, due_ns)

    # Commands.

    async def _place_hold(self) -> None:
        opening = Opening(
            call_id=self.call_id,
            account_id=self.account_id,
            node=self._s.settings.node,
            first_micros=self._rate.cost(1),
            want_micros=self._rate.cost(self._s.settings.prepaid_horizon_s),
            concurrent_calls_max=self._s.settings.account_calls_max,
            detail=msgspec.json.encode(self.opened),
        )
        try:
            outcome = await self._s.gate.open(opening)
        except StoreUnavailableError:
            self._hold_unanswered("store_unavailable")
        except Exception:
            log.exception("Call %s: its hold could not be placed.", self.call_id)
            self._hold_unanswered("internal_error")
        else:
            self._hold_answered(outcome)

    def _hold_answered(self, outcome: OpenOutcome) -> None:
        if outcome.result is OpenResult.OPENED:
            settings = self._s.settings
            self.meter = CallMeter(
                self.call_id,
                self.account_id,
                self._rate,
                outcome.granted_micros,
                seconds_max=settings.call_duration_max_s,
                horizon_s=settings.prepaid_horizon_s,
                grace_s=settings.grace_s,
            )
            self._balance_micros = outcome.balance_micros
            self.receive(HoldPlaced())
        else:
            self._refuse_hold(reports.REFUSALS[outcome.result], Cause.OUTGOING_CALL_BARRED)

    def _hold_unanswered(self, code: str) -> None:
        """The hold may have been placed all the same, and would stay for ever."""
        self._refuse_hold(code, Cause.NORMAL_TEMPORARY_FAILURE)
        self._s.spawn(self._void_hold())

    async def _void_hold(self) -> None:
        if await self._close_at_gate() is CloseResult.UNKNOWN:
            await asyncio.sleep(_LATE_HOLD_S)
            await self._close_at_gate()

    def _refuse_hold(self, code: str, cause: Cause) -> None:
        self._refusal = code
        self.receive(HoldRefused(cause))

    def _play_tone(self, name: Literal["ringback", "busy", "congestion"]) -> None:
        self._tell(wire.ToneStarted(name=name))
        self._media.play_to_caller(name)

    def _start_meter(self) -> None:
        self._media.stop_tone()
        self.meter.answered(self.call.answered_ns or self._clock_ns())
        self._s.metering.add(self)
        self._arm_cut_off()

    def _report_answer(self) -> None:
        at = self._wall.date(self.call.answered_ns or 0)
        self._tell(wire.Accept(at=at.isoformat().replace("+00:00", "Z")))

    def _join_media(self) -> None:
        if self._carrier_leg is not None:
            self._media.join(self._carrier_leg)

    def _stop_meter(self) -> None:
        self._s.metering.remove(self)
        if self._cut_off is not None:
            self._cut_off.cancel()
        self._media.part()
        self._final = self.meter.final(self.call.ended_ns or self._clock_ns())

    def _report_end(self) -> None:
        self._media.part()
        tone = reports.end_tone(self.call)
        if self._refusal and self._browser is not None:
            self._browser.refuse(self._refusal)
        elif tone is not None and self._browser is not None:
            self._play_tone(tone)
            self._end_tone = self._s.ticker.at(self._clock_ns() + END_TONE_NS, self._tell_end)
        else:
            self._tell_end()

    def _tell_end(self) -> None:
        if self._end_tone is not None:
            self._end_tone.cancel()
            self._end_tone = None
        self._media.stop_tone()
        seconds, cost_micros = self._final
        cost = reports.money(cost_micros, self.order.currency)
        self._tell(reports.end_message(self.call_id, self.call, seconds, cost))
        if self._browser is not None:
            self._browser.close(1000, "call ended")

    def _close_carrier_socket(self) -> None:
        if self._carrier_leg is not None:
            self._carrier_leg.close(1000, "call ended")

    async def _settle(self) -> None:
        await self._close_at_gate()
        self.receive(Settled())

    async def _close_at_gate(self) -> CloseResult:
        """Post the final price, as often as it takes."""
        seconds, micros = self._final
        closing = Closing(
            call_id=self.call_id,
            account_id=self.account_id,
            final_micros=micros,
            seconds=seconds,
            detail=msgspec.json.encode(self._closed(seconds)),
        )
        backoff_s = 0.5
        while True:
            try:
                return (await self._s.gate.close(closing)).result
            except StoreUnavailableError:
                log.warning("Call %s cannot be settled yet; trying again.", self.call_id)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _SETTLE_BACKOFF_S_MAX)

    def _closed(self, seconds: int) -> CallClosed:
        return reports.closed(self.call, self._wall, seconds, *self._media.quality())

    def _release(self) -> None:
        self._s.ticker.remove_duty(self._slot, self._each_second)
        self._s.ticker.remove_duty(self._slot + BEATS_PER_SECOND // 2, self._each_half_second)
        self._on_release(self)

    # What the heartbeat brings.

    def _each_second(self, now_ns: int) -> None:
        if self.call.state in TALKING:
            self._tell_volume()
            self._tell_cost(now_ns)
        self._watch(now_ns)

    def _each_half_second(self, _now_ns: int) -> None:
        if self.call.state in TALKING:
            self._tell_volume()

    def _tell_volume(self) -> None:
        self._tell(self._media.volume)

    def _tell_cost(self, now_ns: int) -> None:
        seconds, cost_micros = self.meter.elapsed_s(now_ns), self.meter.cost_micros(now_ns)
        currency = self.order.currency
        self._tell(wire.Cost(seconds=seconds, cost=reports.money(cost_micros, currency)))
        self._tell(
            wire.Credit(
                balance=reports.money(self._balance_micros, currency),
                remaining_seconds=self.meter.remaining_s(self._balance_micros, now_ns),
            )
        )

    def _watch(self, now_ns: int) -> None:
        """End what has been silent for too long; ask the carrier where callbacks are overdue."""
        settings, call = self._s.settings, self.call
        if call.state in (State.DIALLING, State.RINGING):
            if now_ns > self._dialled_ns + settings.ring_timeout_s * SECOND_NS + _DIAL_MARGIN_NS:
                self.end(Cause.NO_ANSWER, "limit")
            elif now_ns > self._news_ns + _POLL_AFTER_NS:
                self._news_ns = now_ns
                self._s.spawn(self._line.poll())
        elif call.state in TALKING:
            heard_ns = self._media.last_heard_ns
            allowed_s = settings.stream_timeout_s if heard_ns is None else settings.media_silence_s
            since_ns = call.answered_ns if heard_ns is None else heard_ns
            if now_ns > (since_ns or now_ns) + allowed_s * SECOND_NS:
                self.end(Cause.MEDIA_TIMEOUT, "carrier")

    # Messages to the caller.

    def _tell(self, message: wire.GatewayMessage) -> None:
        if self._browser is not None:
            self._browser.send(message)

    def _refuse_frame(self) -> None:
        """A frame of the wrong size: the caller's program does not speak the codec it asked for."""
        if self._browser is not None:
            self._browser.refuse("bad_message")


_PERFORM: dict[Command, Callable[[Bridge], None]] = {
    Command.PLACE_HOLD: lambda bridge: bridge._s.spawn(bridge._place_hold()),
    Command.DIAL: lambda bridge: bridge._s.spawn(bridge._line.dial()),
    Command.PLAY_RINGBACK: lambda bridge: bridge._play_tone("ringback"),
    Command.START_METER: lambda bridge: bridge._start_meter(),
    Command.JOIN_MEDIA: lambda bridge: bridge._join_media(),
    Command.HOLD_MEDIA: lambda bridge: bridge._media.hold(),
    Command.RESUME_MEDIA: lambda bridge: bridge._media.resume(),
    Command.STOP_METER: lambda bridge: bridge._stop_meter(),
    Command.REPORT_RINGING: lambda bridge: bridge._tell(wire.Ringing()),
    Command.REPORT_ANSWER: lambda bridge: bridge._report_answer(),
    Command.REPORT_END: lambda bridge: bridge._report_end(),
    Command.HANG_UP_CARRIER: lambda bridge: bridge._s.spawn(bridge._line.end()),
    Command.CLOSE_CARRIER_SOCKET: lambda bridge: bridge._close_carrier_socket(),
    Command.SETTLE: lambda bridge: bridge._s.spawn(bridge._settle()),
    Command.RELEASE: lambda bridge: bridge._release(),
}
"""What each command of the state machine is here."""
