"""Runs one call: feeds its state machine and performs the commands that come back.

It takes the reports of the legs, the carrier and the meter, and owns the order in which things
happen. `call.machine` decides what may happen, `charging` what it costs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zlib import crc32

import structlog

from billing.cdr import CallClosed, CallOpened, EndedBy
from gateway.browser import messages as wire
from gateway.browser import reports
from gateway.browser.leg import BrowserLeg
from gateway.call.carrier_status import CarrierStatus
from gateway.call.machine import (
    LIVE,
    TALKING,
    Answered,
    Call,
    CarrierEnded,
    Command,
    DialAccepted,
    Ended,
    Event,
    HeldByCaller,
    Requested,
    ResumedByCaller,
    Ringing,
    Settled,
    State,
    StreamStarted,
    overdue,
)
from gateway.call.resume_token import resume_token
from gateway.calls.carrier_line import CarrierLine
from gateway.calls.reachability import UNREACHED_NS
from gateway.calls.services import CallServices
from gateway.cause import CarrierRefusal, Cause
from gateway.charging.call_charge import CallCharge
from gateway.charging.context import CallContext
from gateway.errors import UnexpectedEventError
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Deadline
from gateway.logs.call_events import CallLog
from gateway.nanoseconds import SECOND_NS
from gateway.ports import CallOrder, CarrierLeg, DialOrder, StreamEnd
from gateway.sound.call_media import CallMedia
from gateway.sound.media_path import MediaPath

log = structlog.get_logger(__name__)

END_TONE_NS = 2_400_000_000
"""How long the tone of a failed or cut-off call plays before the caller is shown the reason."""

_LOST_CODES = frozenset({1001, 1006})
"""Close codes of a browser that reloads its page or has lost its network (RFC 6455 7.4.1): it may
come back. Any other code was intentional."""

CONNECTING_NS = 1_500_000_000
"""How long a caller may hear nothing before a tone says that the call is being placed."""

_NEWS = (DialAccepted, Ringing, Answered, StreamStarted, CarrierEnded)
"""Events that only the carrier can report."""

_STREAM_ENDS = {
    StreamEnd.STOPPED: Ended(Cause.NORMAL_CLEARING, "callee"),
    StreamEnd.LOST: Ended(Cause.NETWORK_OUT_OF_ORDER, "carrier"),
    StreamEnd.UNREADABLE: Ended(Cause.PROTOCOL_ERROR, "carrier"),
}


class Bridge:
    """One call between a browser leg and a carrier leg."""

    def __init__(
        self,
        call_id: str,
        order: CallOrder,
        dial_order: DialOrder,
        browser: BrowserLeg,
        services: CallServices,
        *,
        on_change: Callable[[Bridge], None],
        on_release: Callable[[Bridge], None],
    ) -> None:
        """Prepare a call; `on_change` is called each second, and when its state has changed."""
        self.call_id = call_id
        self.account_id = order.account_id
        self.order = order
        self.call = Call()
        self._s = services
        self._clock_ns = services.ticker.clock_ns
        self.wall = reports.WallClock(self._clock_ns(), datetime.now(UTC))
        self.opened: CallOpened = reports.opened(
            call_id, order, services.settings.node, self.wall.date(self._clock_ns())
        )
        self._line = CarrierLine(
            services.carrier,
            dial_order,
            self.receive,
            services.reachability,
            services.end_unmatched,
        )
        self._browser: BrowserLeg | None = browser
        self._carrier_leg: CarrierLeg | None = None
        self.charge = CallCharge(CallContext(self.opened, order, self.wall, services, self))
        self.media = CallMedia(
            browser.connection,
            codec=order.codec,
            country=order.country,
            packet_ms=int(services.settings.ptime_ms),
            ticker=services.ticker,
            listener=self,
            repairs=services.repairs,
        )
        self._path = MediaPath(services.endpoint, browser.connection, self.media)
        self._resumed = 0
        self._given_up: Deadline | None = None
        """When to stop waiting for a caller who is away."""
        self._on_change = on_change
        self._on_release = on_release
        self._events: list[tuple[Event, int]] = []
        self._is_receiving = False
        self._end_tone: Deadline | None = None
        self._dialled_ns = self.news_ns = self._clock_ns()
        self._log = CallLog(call_id, services.settings.node, order.account_id)
        # Spreads the once-a-second duties of all calls evenly over the beats of a second.
        self._slot = crc32(call_id.encode()) % BEATS_PER_SECOND

    # Reports from outside. All end in `receive`, which never waits.

    def start(self) -> None:
        """Begin the call; its browser leg is ready."""
        self._listen()
        self._s.ticker.add_duty(self._slot, self._each_second)
        self._s.ticker.at(self._clock_ns() + CONNECTING_NS, self._tell_connecting)
        self._s.polling.add(self)
        order = self.order
        self._log.requested(self._clock_ns(), key_id=order.key_id, country=order.country)
        self.receive(Requested())

    def receive(self, event: Event, at_ns: int | None = None) -> None:
        """Take one event; events that commands cause are taken after it, in order."""
        self._events.append((event, self._clock_ns() if at_ns is None else at_ns))
        # A command has caused it: it must not overtake the commands still to be performed.
        if self._is_receiving:
            return
        self._is_receiving = True
        try:
            while self._events:
                self._advance(*self._events.pop(0))
        finally:
            self._is_receiving = False

    def _advance(self, event: Event, at_ns: int) -> None:
        if isinstance(event, _NEWS):
            self.news_ns = at_ns
        if isinstance(event, CarrierEnded):
            # Before its commands: `owns` and the line's requests depend on it.
            self._line.is_over = True
        elif isinstance(event, DialAccepted):
            self._s.spawn(self.charge.name_carrier_call(event.carrier_call_id))
            self._s.ticker.when_read(at_ns + UNREACHED_NS, self._miss_callbacks)
        before = self.call.state
        try:
            commands = self.call.receive(event, at_ns)
        except UnexpectedEventError as error:
            # A bug of ours, which the call survives: its deadlines and the carrier still end it.
            ids = {"call_id": self.call_id}
            log.exception("unexpected call event", **ids, received=error.event, state=error.state)
            return
        self._log.advanced(self.call, before, event, at_ns, refusal=self.charge.refusal)
        for command in commands:
            _PERFORM[command](self)
        self._on_change(self)

    def owns(self, carrier_call_id: str) -> bool:
        """Whether this call uses a carrier call made for it: the first one that is proven."""
        # Once it is over, confirmed by the carrier or not, what still rings or talks is a ghost.
        is_held = self.call.state in LIVE or self.call.state is State.ENDING
        return is_held and bool(carrier_call_id) and self._line.named(carrier_call_id)

    def carrier_status(self, status: CarrierStatus) -> None:
        """Take a status callback; one of another carrier call is ignored."""
        event = status.event()
        is_heard = self._carrier_leg is not None and self.call.state in LIVE
        if self._is_ours(status.carrier_call_id) and event is not None:
            self.receive(event)
            # A stream stops before its call ends: one that continues contradicts the callback.
            if is_heard and status.is_terminal:
                self._s.end_unmatched(status.carrier_call_id, self.call_id)

    def stream_failed(self, carrier_call_id: str, refusal: CarrierRefusal | None = None) -> None:
        """Note that the carrier could not open the media stream, so nothing will be heard."""
        # Once a stream has begun, its own socket reports its end, and more precisely.
        if self._carrier_leg is None and self._is_ours(carrier_call_id):
            self.receive(Ended(Cause.BEARERCAPABILITY_NOTAVAIL, "carrier", refusal))

    def _is_ours(self, carrier_call_id: str) -> bool:
        is_ours = self.owns(carrier_call_id) or carrier_call_id == self._line.carrier_call_id != ""
        if not is_ours:
            ids = {"call_id": self.call_id, "carrier_call_id": carrier_call_id}
            log.warning("callback of another carrier call", **ids)
        return is_ours

    def stream_started(self, leg: CarrierLeg, carrier_call_id: str) -> bool:
        """Accept the stream proven to be this call's; False if it is late or another call's."""
        if self._carrier_leg is not None or self.call.state not in LIVE:
            return False
        if not self.owns(carrier_call_id):
            return False
        self._carrier_leg = leg
        # From here on the stream itself shows when the call ends.
        self._s.polling.remove(self)
        self.receive(StreamStarted())
        return True

    def stream_digit(self, digit: str) -> None:
        """Tell the caller which key was pressed on the phone."""
        self.tell(wire.DtmfReceived(digit=digit))

    def stream_ended(self, how: StreamEnd) -> None:
        """Note that the carrier's stream is over: a hang-up, or nothing more can be heard."""
        self.receive(_STREAM_ENDS[how])

    def browser_message(self, message: wire.ClientMessage) -> None:
        """Act on a message from the caller."""
        self._log.received(type(message).__name__, self.call)
        match message:
            case wire.Hangup():
                self.end(reports.caller_cause(self.call), "caller")
                if self._end_tone is not None:
                    self._tell_end()
            case wire.Mute(muted=muted):
                self.media.mute(muted)
                self.tell(wire.Mute(muted=muted))
            case wire.Hold(held=held):
                self.receive(HeldByCaller() if held else ResumedByCaller())
                self.tell(wire.Hold(held=self.call.state is State.ON_HOLD))
            case wire.SendDtmf(digits=digits):
                self.media.press(digits)
            case wire.Offer() | wire.SelectPath() | wire.Report():
                self._path.take(message)

    def browser_closed(self, code: int) -> None:
        """Note that the caller's socket is gone: for good, or until another resumes the call."""
        self._browser = None
        self._log.received(f"socket closed with {code}", self.call)
        resume_s = self._s.settings.resume_s
        if code in _LOST_CODES and resume_s and self.call.state in LIVE:
            self._path.socket_lost()
            self._watch_caller()
            self._given_up = self._s.ticker.when_read(
                self._clock_ns() + resume_s * SECOND_NS,
                lambda: self.end(reports.caller_cause(self.call), "caller"),
            )
        else:
            self.end(reports.caller_cause(self.call), "caller")

    def resume(self, leg: BrowserLeg, generation: int) -> bool:
        """Continue on this socket instead of the last; False if the token was already used."""
        if generation != self._resumed or self.call.state not in LIVE:
            return False
        self._resumed += 1
        self._log.received("another socket", self.call)
        self._wait_no_longer()
        before, self._browser = self._browser, leg
        if before is not None:
            # It may not have noticed its loss yet: its end must not be taken for the caller's.
            before.listener = None
            before.take_audio(None)
            before.close(1000, "taken up elsewhere")
        self._path.socket_back(leg.connection, self._s.ticker.read_ns)
        self.media.back()
        self._listen()
        self._tell_state()
        return True

    def tell_draining(self, seconds_left: int) -> None:
        """Tell the caller that this node ends all calls in so many seconds."""
        self.tell(wire.Draining(seconds_left=seconds_left))

    def _listen(self) -> None:
        if self._browser is not None:
            self._browser.listener = self
            self._browser.take_audio(self.media.take_frame)
        self.tell(
            reports.ready(
                self.call_id,
                self.order,
                self.charge.rate,
                webrtc=self._path.can_offer,
                resume_token=resume_token(self._s.resume_key, self.call_id, self._resumed),
                resume_seconds=self._s.settings.resume_s,
            )
        )

    def _tell_state(self) -> None:
        """Tell a caller who has returned the state of the call."""
        if self.call.state is State.RINGING:
            self.tell(wire.Ringing())
        elif self.call.state in TALKING:
            self._report_answer()
            self.tell(wire.Supervised(mode=self.media.told_mode))
            if warning := self.charge.active_warning(self._clock_ns()):
                self.tell(warning)
        self.tell(wire.PathSelected(path=self._path.path))
        if self.media.is_muted:
            self.tell(wire.Mute(muted=True))
        if self.call.state is State.ON_HOLD:
            self.tell(wire.Hold(held=True))

    def _wait_no_longer(self) -> None:
        if self._given_up is not None:
            self._given_up.cancel()
            self._given_up = None

    def _watch_caller(self) -> None:
        """Let the phone hear comfort noise while the caller can neither speak nor hear."""
        if self._path.is_audible(self._s.ticker.read_ns):
            self.media.back()
        else:
            self.media.away()

    def end(self, cause: Cause, ended_by: EndedBy, at_ns: int | None = None) -> None:
        """End the call for a reason; repeating it is harmless."""
        if self.call.state not in (State.NEW, State.SETTLED):
            self.receive(Ended(cause, ended_by), at_ns)

    def used(self) -> tuple[int, int]:
        """Return the seconds charged for so far and their price in micros.

        Both are 0 if another node may have settled the call, until what it posted is known.
        """
        is_talked = self.call.answered_ns is not None and self.call.ended_ns is None
        return (self.charge.used() if is_talked else self.charge.final) or (0, 0)

    # Commands. None of them waits: what takes time is spawned and reports back as an event.

    def _tell_connecting(self) -> None:
        """Play the connecting tone to a caller who has heard nothing yet."""
        if self.call.state in (State.FUNDING, State.DIALLING):
            self._play_tone("connecting")

    def _bridge_silence(self) -> None:
        """Play the connecting tone while the stream of an answered call has not begun."""
        if self.call.state is State.ANSWERED and self._carrier_leg is None:
            self.media.play_to_caller("connecting")

    def _play_tone(self, name: wire.ToneName) -> None:
        self.tell(wire.ToneStarted(name=name))
        self.media.play_to_caller(name)

    def _start_meter(self) -> None:
        self.media.stop_tone()
        self.charge.start(self.call.answered_ns or self._clock_ns())
        self._s.ticker.at(self._clock_ns() + CONNECTING_NS, self._bridge_silence)

    def _report_answer(self) -> None:
        at = self.wall.date(self.call.answered_ns or 0)
        self.tell(wire.Accept(at=at.isoformat().replace("+00:00", "Z")))

    def _join_media(self) -> None:
        if self._carrier_leg is not None:
            self.media.stop_tone()
            self.media.join(self._carrier_leg)

    def _stop_meter(self) -> None:
        self.media.part()
        self.charge.stop(self.call.ended_ns or self._clock_ns())

    def _report_end(self) -> None:
        self._wait_no_longer()
        self.media.part()
        tone = reports.end_tone(self.call)
        if self.charge.refusal and self._browser is not None:
            self._browser.refuse(self.charge.told_refusal)
        elif tone is not None and self._browser is not None:
            self._play_tone(tone)
            self._end_tone = self._s.ticker.at(self._clock_ns() + END_TONE_NS, self._tell_end)
        else:
            self._tell_end()

    def _tell_end(self) -> None:
        if self._end_tone is not None:
            self._end_tone.cancel()
            self._end_tone = None
        self.media.stop_tone()
        self._path.close()
        seconds, cost = None, None
        if (final := self.charge.final) is not None:
            seconds, cost = final[0], reports.money(final[1], self.order.currency)
        ran_out_of = self.charge.ran_out_of
        told = (self.call_id, self.call, seconds, cost, ran_out_of)
        self.tell(reports.end_message(*told, hides_money=self.order.visitor is not None))
        if self._browser is not None:
            self._browser.close(1000, "call ended")

    def _close_carrier_socket(self) -> None:
        if self._carrier_leg is not None:
            self._carrier_leg.close()

    async def _settle(self) -> None:
        if self.call.is_unexplained and (said := await self._line.why_failed()) is not None:
            self.call.explain(said)
        is_ours = await self.charge.settle()
        seconds, cost_micros = self.used()
        if is_ours:
            self._log.settled(self.call, seconds, cost_micros)
        else:
            self._log.settled_elsewhere(self.call, seconds, cost_micros)
        self.receive(Settled())

    def _release(self) -> None:
        self._s.ticker.remove_duty(self._slot, self._each_second)
        self._s.polling.remove(self)
        self._on_release(self)

    # With `receive`, what the charge needs of its call (`charging.context.PaidCall`).

    def warn(self, message: wire.CreditWarning | wire.CreditWarningCleared) -> None:
        """Warn the caller, audibly, that the call will end soon, or withdraw a warning."""
        self.tell(message)
        if isinstance(message, wire.CreditWarning):
            self.media.beep()

    def closed(self, seconds: int) -> CallClosed:
        """Return the record of the ended call, which is charged for so many seconds."""
        return reports.closed(self.call, self.wall, seconds, self.order, self.media.quality())

    # Called by the ticker and by polling.

    def _each_second(self, now_ns: int) -> None:
        if self.call.state in TALKING:
            self.media.watch_delay(now_ns)
            quality = self.media.measure(now_ns, self._path.network())
            # In one write: the kernel takes a third of what a second's messages cost.
            self.tell(*self.charge.bill(now_ns), self.media.volume, *quality)
            self.charge.warn(now_ns)
            if self._browser is None:
                self._watch_caller()
        heard_ns, read_ns = self.media.heard_ns(), self._s.ticker.read_ns
        end = overdue(self.call, self._s.settings, self._dialled_ns, heard_ns, read_ns)
        if end is not None:
            self.receive(*end)
        self._on_change(self)

    @property
    def wants_news(self) -> bool:
        """Whether the carrier can be asked about this call."""
        return self.call.state in LIVE and bool(self._line.carrier_call_id)

    async def poll(self) -> None:
        """Ask the carrier for the call's state."""
        await self._line.poll()

    def _miss_callbacks(self) -> None:
        """Poll at once if the carrier should have reported by now and has not."""
        if self._line.is_silent:
            # Older than any other call's news, so that polling takes this call first.
            self.news_ns = 0

    # Messages to the caller.

    def tell(self, *messages: wire.GatewayMessage) -> None:
        """Send messages to the caller."""
        if self._browser is not None:
            self._browser.send(*messages)

    def bad_frame(self) -> None:
        """Refuse a frame of the wrong size: the client does not send the codec it asked for."""
        if self._browser is not None:
            self._browser.refuse("bad_message")

    def sound_began(self) -> None:
        """Note the first audio from the phone: from here the call is owed, back to its answer."""
        self.charge.heard()


_PERFORM: dict[Command, Callable[[Bridge], None]] = {
    Command.PLACE_HOLD: lambda bridge: bridge._s.spawn(bridge.charge.place_hold()),
    Command.DIAL: lambda bridge: bridge._s.spawn(bridge._line.dial()),
    Command.PLAY_RINGBACK: lambda bridge: bridge._play_tone("ringback"),
    Command.START_METER: lambda bridge: bridge._start_meter(),
    Command.JOIN_MEDIA: lambda bridge: bridge._join_media(),
    Command.HOLD_MEDIA: lambda bridge: bridge.media.hold(),
    Command.RESUME_MEDIA: lambda bridge: bridge.media.resume(),
    Command.STOP_METER: lambda bridge: bridge._stop_meter(),
    Command.REPORT_RINGING: lambda bridge: bridge.tell(wire.Ringing()),
    Command.REPORT_ANSWER: lambda bridge: bridge._report_answer(),
    Command.REPORT_END: lambda bridge: bridge._report_end(),
    Command.HANG_UP_CARRIER: lambda bridge: bridge._s.spawn(bridge._line.end()),
    Command.CLOSE_CARRIER_SOCKET: lambda bridge: bridge._close_carrier_socket(),
    Command.SETTLE: lambda bridge: bridge._s.spawn(bridge._settle()),
    Command.RELEASE: lambda bridge: bridge._release(),
}
"""How each command of the state machine is performed."""
