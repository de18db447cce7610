"""Sends what a caller says back to them, to check the line or as the call of a button's test key.

Both use the same socket, WebRTC session and media path as a call, and cost nothing. The check ends
with a verdict. To its client the test key's call is a call that reaches no one: it rings, is
answered, and ends at its longest time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.browser import messages as wire
from gateway.browser.leg import BrowserLeg
from gateway.browser.reports import CLOSED_BUTTON
from gateway.cause import Cause
from gateway.heartbeat.ticker import Deadline, Ticker
from gateway.nanoseconds import SECOND_NS
from gateway.ports import AudioEndpoint, AudioSession, MediaConnection
from gateway.sound.directions import FRAME_BYTES, FRAME_MS
from gateway.sound.media_path import MediaPath, Network
from media.g711 import SILENCE_DBOV
from media.quality import JitterMeter, mos
from media.vad import TalkDetector


class Echo:
    """One caller who hears themselves."""

    def __init__(self, leg: BrowserLeg, endpoint: AudioEndpoint | None, ticker: Ticker) -> None:
        self._leg: Final = leg
        self._ticker: Final = ticker
        self._talk: Final = TalkDetector()
        self._send: Callable[[bytes], None] = leg.connection.send_audio_binary
        self._path: Final = MediaPath(endpoint, leg.connection, self)

    def hear_by_socket(self, browser: MediaConnection) -> None:
        """Echo on the socket from now on."""
        self._send = browser.send_audio_binary

    def hear_by_session(self, session: AudioSession) -> None:
        """Echo by WebRTC from now on."""
        self._send = session.send_audio

    def press(self, digits: str) -> None:
        """Discard keys: there is no phone to hear them."""

    def tell(self, message: wire.GatewayMessage) -> None:
        """Tell the caller."""
        self._leg.send(message)

    def browser_closed(self, _code: int) -> None:
        """Note that the caller is gone."""
        self._over()

    def take_packet(self, _sequence: int, _timestamp: int, payload: bytes) -> None:
        """Take the caller's packet from WebRTC; one that is not whole frames is dropped."""
        # On the socket a frame of a wrong size is a fault of the program.
        if payload and not len(payload) % FRAME_BYTES:
            self._echo(payload)

    def _frame(self, payload: bytes) -> None:
        if payload and not len(payload) % FRAME_BYTES:
            self._echo(payload)
        else:
            self._leg.refuse("bad_message")

    def _echo(self, payload: bytes) -> None:
        """Send whole frames back."""
        # Before they are judged, as a call forwards first.
        self._send(payload)
        self._talk.feed(payload)

    def _over(self) -> None:
        """End, once only, whichever of its ends comes first."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Hear the caller no more."""
        self._leg.listener = None
        self._leg.take_audio(None)
        self._path.close()


WARNED_S: Final = 10
"""How long before its end the caller is warned, as the last time of any call."""


class EchoCall(Echo):
    """One visitor who hears themselves."""

    def __init__(
        self,
        leg: BrowserLeg,
        endpoint: AudioEndpoint | None,
        ticker: Ticker,
        *,
        call_id: str,
        seconds_max: int,
        on_end: Callable[[EchoCall], object],
    ) -> None:
        super().__init__(leg, endpoint, ticker)
        self._call_id = call_id
        self._seconds_max = seconds_max
        self._on_end = on_end
        self._deadlines: list[Deadline] = []
        self._began_ns = 0
        self._is_muted = self._is_held = False

    def start(self, at: str) -> None:
        """Ring and answer at once; `at` is this moment (RFC 3339, UTC)."""
        self._leg.listener = self
        self._leg.take_audio(self._frame)
        self._began_ns = self._ticker.clock_ns()
        self.tell(
            wire.Ready(
                version=wire.VERSION,
                call_id=self._call_id,
                destination="",
                codec="pcmu",
                frame_bytes=wire.FRAME_BYTES["pcmu"],
                webrtc=self._path.can_offer,
            )
        )
        self.tell(wire.Ringing())
        self.tell(wire.Accept(at=at))
        self._ticker.add_duty(0, self._each_second)
        warned_s = max(0, self._seconds_max - WARNED_S)
        self._deadlines = [
            self._ticker.when_read(self._began_ns + warned_s * SECOND_NS, self._warn),
            self._ticker.when_read(self._began_ns + self._seconds_max * SECOND_NS, self._finish),
        ]

    def browser_message(self, message: wire.ClientMessage) -> None:
        """Act on a message from the caller."""
        match message:
            case wire.Hangup():
                self._end(Cause.NORMAL_CLEARING, "caller")
            case wire.Mute(muted=muted):
                self._is_muted = muted
                self.tell(wire.Mute(muted=muted))
            case wire.Hold(held=held):
                self._is_held = held
                self.tell(wire.Hold(held=held))
            case wire.Offer() | wire.SelectPath() | wire.Report():
                self._path.take(message)

    def _echo(self, payload: bytes) -> None:
        if not self._is_muted and not self._is_held:
            super()._echo(payload)

    def _each_second(self, _now_ns: int) -> None:
        # A client that hears nothing for two seconds takes the connection for lost.
        level = self._talk.level_dbov
        self.tell(wire.Volume(input_dbov=level, output_dbov=level))

    def _warn(self) -> None:
        left_s = self._seconds_max - self._seconds()
        self.tell(wire.CreditWarning(seconds_left=left_s, cause="duration"))

    def closed(self) -> None:
        """End the call: its button's owner has ended all of them."""
        self._end(Cause.MANAGER_REQUEST, "operator", message=CLOSED_BUTTON)

    def _finish(self) -> None:
        self._end(Cause.ALLOTTED_TIMEOUT, "limit", "duration")

    def _end(
        self, cause: Cause, ended_by: str, lack: wire.Lack | None = None, message: str = ""
    ) -> None:
        self.tell(
            wire.Disconnect(
                call_id=self._call_id,
                cause=cause,
                name=cause.name,
                message=message or cause.message,
                ended_by=ended_by,
                seconds=self._seconds(),
                cost=None,
                cut_off=lack,
            )
        )
        self._leg.close(1000, "call ended")
        self._over()

    def _seconds(self) -> int:
        passed_s = (self._ticker.clock_ns() - self._began_ns) // SECOND_NS
        return min(self._seconds_max, passed_s)

    def _over(self) -> None:
        # Once only, whichever of its end, a hang-up and a lost socket comes first.
        if self._deadlines:
            for deadline in self._deadlines:
                deadline.cancel()
            self._deadlines = []
            self._ticker.remove_duty(0, self._each_second)
            self._let_go()
            self._on_end(self)


CHECK_SECONDS = 5
CHECK_WAIT_NS = 15_000_000_000
"""Longest wait for the first audio: the browser may have to ask for the microphone."""
CHECK_NS_MAX = 30_000_000_000
"""Longest a check may take overall, however often it restarts on another path."""

CHECK_UNDERWAY_MS = 100
"""Audio that may still be in transit at the end and does not count as lost."""

GOOD_MOS = 4.0
FAIR_MOS = 3.6
"""From here users are satisfied, or some are not (ITU-T G.107 Annex B)."""

_VERDICT_WORDS: dict[wire.Verdict, tuple[str, str]] = {
    "good": ("Calls will sound good from here.", ""),
    "fair": (
        "Calls will be understood, with some disturbance.",
        "Move closer to the Wi-Fi, or use a cable.",
    ),
    "poor": (
        "Calls will be hard to understand from here.",
        "Try another network, or end what else uses this one.",
    ),
    "failed": ("No sound arrived.", "Allow the microphone, and see that it is not muted."),
}


def judge(
    network: Network,
    *,
    jitter_ms: float,
    loss_percent: float,
    level_dbov: int,
) -> wire.CheckResult:
    """Return the verdict on the measurements; `loss_percent` is of the caller's voice."""
    rtt_ms = network.rtt_ms or 0.0
    buffer_ms = 2 * jitter_ms if network.report is None else network.report.buffer_ms
    # One way, as a call would be heard: the echo itself takes both.
    score = mos(delay_ms=rtt_ms / 2 + FRAME_MS + buffer_ms, loss_percent=loss_percent)
    verdict: wire.Verdict = "poor"
    # Packets that arrive and hold only silence come from a microphone that is off.
    if level_dbov <= SILENCE_DBOV:
        verdict = "failed"
        score = 1.0
    elif score >= FAIR_MOS:
        verdict = "good" if score >= GOOD_MOS else "fair"
    message, action = _VERDICT_WORDS[verdict]
    return wire.CheckResult(
        verdict=verdict,
        path=network.path,
        mos=round(score, 2),
        rtt_ms=network.rtt_ms,
        jitter_ms=round(jitter_ms, 1),
        loss_percent=round(loss_percent, 2),
        level_dbov=level_dbov,
        message=message,
        action=action,
    )


class EchoCheck(Echo):
    """One caller who hears themselves."""

    def __init__(
        self,
        leg: BrowserLeg,
        endpoint: AudioEndpoint | None,
        ticker: Ticker,
        *,
        on_end: Callable[[EchoCheck], object],
    ) -> None:
        super().__init__(leg, endpoint, ticker)
        self._on_end = on_end
        self._level_dbov = SILENCE_DBOV
        self._end: Deadline | None = None
        self._latest_ns = 0
        self._restart_measurement()

    def _restart_measurement(self) -> None:
        """Restart the measurement: figures of another path say nothing about this one."""
        self._jitter = JitterMeter()
        self._frames = 0
        self._first_ns = 0

    def start(self) -> None:
        """Begin to take the caller's audio."""
        self._leg.listener = self
        self._leg.take_audio(self._frame)
        self._leg.send(
            wire.CheckReady(
                version=wire.VERSION, seconds=CHECK_SECONDS, webrtc=self._path.can_offer
            )
        )
        now_ns = self._ticker.clock_ns()
        self._latest_ns = now_ns + CHECK_NS_MAX
        self._end = self._ticker.when_read(now_ns + CHECK_WAIT_NS, self._finish)

    def hear_by_socket(self, browser: MediaConnection) -> None:
        """Echo on the socket from now on."""
        super().hear_by_socket(browser)
        self._restart_measurement()

    def hear_by_session(self, session: AudioSession) -> None:
        """Echo by WebRTC from now on."""
        super().hear_by_session(session)
        self._restart_measurement()

    def browser_message(self, message: wire.ClientMessage) -> None:
        """Act on a message from the caller."""
        if isinstance(message, wire.Hangup):
            self._close()
        elif isinstance(message, wire.Offer | wire.SelectPath | wire.Report):
            self._path.take(message)

    def _echo(self, payload: bytes) -> None:
        now_ns = self._ticker.clock_ns()
        if not self._frames:
            self._first_ns = now_ns
            # The time to wait for a first sound is over: the seconds of the check count from here.
            if self._end is not None:
                self._end.cancel()
            # Every change of path restarts the measurement, but not beyond the overall limit.
            due_ns = min(now_ns + CHECK_SECONDS * SECOND_NS, self._latest_ns)
            self._end = self._ticker.when_read(due_ns, self._finish)
        self._frames += len(payload) // FRAME_BYTES
        self._jitter.feed(now_ns, self._frames * FRAME_MS)
        super()._echo(payload)
        self._level_dbov = max(self._level_dbov, self._talk.level_dbov)

    def _finish(self) -> None:
        # If nothing ever arrived the figures below mean nothing: the level alone decides.
        network = self._path.network()
        session = network.session
        if session is None:
            # A socket loses nothing, so loss is judged by what should have arrived by now.
            elapsed_ms = (self._ticker.clock_ns() - self._first_ns) / 1e6
            expected = max(1.0, (elapsed_ms - CHECK_UNDERWAY_MS) / FRAME_MS)
            loss_percent = max(0.0, 100 * (1 - self._frames / expected))
            jitter_ms = self._jitter.ms
        else:
            loss_percent = 100 * session.lost / max(1, session.packets + session.lost)
            jitter_ms = session.jitter_ms
        self._leg.send(
            judge(
                network,
                jitter_ms=jitter_ms,
                loss_percent=loss_percent,
                level_dbov=self._level_dbov,
            )
        )
        self._close()

    def _close(self) -> None:
        self._leg.close(1000, "check ended")
        self._over()

    def _over(self) -> None:
        # Once only, whichever of the verdict, a hang-up and a lost socket comes first.
        if self._end is not None:
            self._end.cancel()
            self._end = None
            self._let_go()
            self._on_end(self)
