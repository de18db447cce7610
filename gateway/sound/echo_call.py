"""Lets the visitor of a button's test key hear themselves, as a call that reaches nobody.

To its client it is a call: it rings, is answered, and ends at its longest time. It costs nothing.
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
from gateway.ports import AudioEndpoint
from gateway.sound.echo import Echo

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
