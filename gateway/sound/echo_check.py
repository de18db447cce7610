"""Tests the line before a call: echoes what the caller says, then gives a verdict.

Uses the same socket, WebRTC session and media path as a call, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.browser import messages as wire
from gateway.browser.leg import BrowserLeg
from gateway.heartbeat.ticker import Deadline, Ticker
from gateway.nanoseconds import SECOND_NS
from gateway.ports import AudioEndpoint, AudioSession, MediaConnection
from gateway.sound.directions import FRAME_BYTES, FRAME_MS
from gateway.sound.echo import Echo
from gateway.sound.media_path import Network
from media.g711 import SILENCE_DBOV
from media.quality import JitterMeter, mos

SECONDS = 5
WAIT_NS = 15_000_000_000
"""Longest wait for the first audio: the browser may have to ask for the microphone."""
LONGEST_NS = 30_000_000_000
"""Longest a check may take overall, however often it restarts on another path."""

UNDERWAY_MS = 100
"""Audio that may still be in transit at the end and does not count as lost."""

GOOD_MOS = 4.0
FAIR_MOS = 3.6
"""From here users are satisfied, or some are not (ITU-T G.107 Annex B)."""

_WORDS: dict[wire.Verdict, tuple[str, str]] = {
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
        verdict, score = "failed", 1.0
    elif score >= FAIR_MOS:
        verdict = "good" if score >= GOOD_MOS else "fair"
    message, action = _WORDS[verdict]
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
            wire.CheckReady(version=wire.VERSION, seconds=SECONDS, webrtc=self._path.can_offer)
        )
        now_ns = self._ticker.clock_ns()
        self._latest_ns = now_ns + LONGEST_NS
        self._end = self._ticker.when_read(now_ns + WAIT_NS, self._finish)

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
            due_ns = min(now_ns + SECONDS * SECOND_NS, self._latest_ns)
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
            expected = max(1.0, (elapsed_ms - UNDERWAY_MS) / FRAME_MS)
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
