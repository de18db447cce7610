"""Lets the visitor of a button's test key hear themselves, as a call that reaches nobody.

To its client it is a call: it rings, is answered, and ends at its longest time. It costs nothing.
Knows no carrier and no money.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.browser import messages as wire
from gateway.browser.leg import BrowserLeg
from gateway.cause import Cause
from gateway.heartbeat.ticker import Deadline, Ticker
from gateway.nanoseconds import SECOND_NS
from gateway.ports import AudioEndpoint, AudioSession, MediaConnection
from gateway.sound.directions import FRAME_BYTES
from gateway.sound.media_path import MediaPath
from media.vad import TalkDetector

WARNED_S: Final = 10
"""How long before its end the caller is warned, as the last time of any call."""


class EchoCall:
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
        self._leg = leg
        self._ticker = ticker
        self._call_id = call_id
        self._seconds_max = seconds_max
        self._on_end = on_end
        self._send: Callable[[bytes], None] = leg.connection.send_audio_binary
        self._deadlines: list[Deadline] = []
        self._began_ns = 0
        self._is_muted = self._is_held = False
        self._talk = TalkDetector()
        self.take_packet = self._packet
        self._path = MediaPath(endpoint, leg.connection, self)

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

    def browser_closed(self, _code: int) -> None:
        """Note that the caller is gone."""
        self._over()

    def _packet(self, _sequence: int, _timestamp: int, payload: bytes) -> None:
        # Others are dropped. A frame of a wrong size, on the socket, is a fault of the program.
        if payload and not len(payload) % FRAME_BYTES:
            self._frame(payload)

    def _frame(self, payload: bytes) -> None:
        if not payload or len(payload) % FRAME_BYTES:
            self._leg.refuse("bad_message")
        elif not self._is_muted and not self._is_held:
            self._send(payload)
            self._talk.feed(payload)

    def _each_second(self, _now_ns: int) -> None:
        # A client that hears nothing for two seconds takes the connection for lost.
        level = self._talk.level_dbov
        self.tell(wire.Volume(input_dbov=level, output_dbov=level))

    def _warn(self) -> None:
        left_s = self._seconds_max - self._seconds()
        self.tell(wire.CreditWarning(seconds_left=left_s, cause="duration"))

    def _finish(self) -> None:
        self._end(Cause.ALLOTTED_TIMEOUT, "limit", "duration")

    def _end(self, cause: Cause, ended_by: str, lack: wire.Lack | None = None) -> None:
        self.tell(
            wire.Disconnect(
                call_id=self._call_id,
                cause=cause,
                name=cause.name,
                message=cause.message,
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
            self._leg.listener = None
            self._leg.take_audio(None)
            self._path.close()
            self._on_end(self)
