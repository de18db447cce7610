"""Runs one Media Stream between a called party and the application's media socket.

Each step of 20 ms plays what the application sent to the callee, and sends what the callee plays to
the application. Counts what tests ask about the stream.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from media.g711 import FRAME_MS
from simulators.carrier.beats import FRAME_NS, Beats
from simulators.carrier.callee import Callee, Impairment
from simulators.carrier.clock import Clock
from simulators.carrier.errors import FrameError, StreamError
from simulators.carrier.frames import (
    MALFORMED_MESSAGE,
    Audio,
    Clear,
    MessageWriter,
    PlayoutMark,
    parse,
)
from simulators.carrier.media_socket import LINGER_S, MediaSocket, dial
from simulators.carrier.playout import MARKS_MAX, Playout
from simulators.carrier.recording import Recording

CATCH_UP_FRAMES_MAX: Final = 50
"""Frames sent in one step after a stall of this process; older ones are skipped."""
CONGESTION_BYTES: Final = 64 * 1024
"""Unread bytes towards the application above which its audio is discarded (31930)."""
HISTORY_S_MAX: Final = 600
"""Backlog samples kept, one a second."""
MARKS_KEPT: Final = 1000
_FRAMES_PER_S: Final = 1000 // FRAME_MS
_LATE_NS: Final = 2 * FRAME_NS


class StreamState(StrEnum):
    """Where a stream stands."""

    OPENING = "opening"
    STREAMING = "streaming"
    ENDED = "ended"


@dataclass(slots=True)
class StreamCounters:
    """What a test reads about the messages of one stream."""

    media_in: int = 0
    """Audio messages from the application."""
    media_out: int = 0
    congested_frames: int = 0
    """Frames for the application that were discarded."""
    gap_ms_max: float = 0.0
    """Longest time between two audio messages from the application."""
    late_gaps: int = 0
    """Gaps of more than 40 ms."""
    mark_ms_max: float = 0.0
    """Longest time a mark waited for its audio."""
    clears: int = 0


@dataclass(frozen=True, slots=True)
class MarkEcho:
    """A mark that was sent back."""

    name: str
    waited_ms: float


Note = Callable[[int, str], None]
"""Takes a debugger code and a detail."""


class MediaLeg:
    """One stream from handshake to end."""

    def __init__(
        self,
        *,
        writer: MessageWriter,
        callee: Callee,
        recording: Recording,
        note: Note,
        clock: Clock,
        first_timestamp_ms: int,
        impairment: Impairment | None = None,
    ) -> None:
        self.writer = writer
        self.playout = Playout()
        self.counters = StreamCounters()
        self.state = StreamState.OPENING
        self.marks: deque[MarkEcho] = deque(maxlen=MARKS_KEPT)
        self.backlog_ms_history: deque[int] = deque(maxlen=HISTORY_S_MAX)
        self.close_code: int | None = None
        """Close code of the socket; 1006 when it broke."""
        self.closed_at_ns: int | None = None
        """Epoch time of the socket's end."""
        self.ended: asyncio.Event = asyncio.Event()
        self.stopped_by_us = False
        """Whether an orderly stop was sent before the socket ended."""
        self.frozen = False
        self._callee = callee
        self._recording = recording
        self._note = note
        self._clock = clock
        self._impairment = impairment
        self._first_timestamp_ms = first_timestamp_ms
        self._socket: MediaSocket | None = None
        self._started_ns = 0
        self._beats = Beats()
        self._frames = 0
        self._last_media_ns = 0
        self._mark_times: dict[str, int] = {}
        self._warned: set[int] = set()
        self._congested = False

    # --- lifecycle -------------------------------------------------------------------------

    async def open(self, url: str, signature: str, tls: ssl.SSLContext | None) -> None:
        """Shake hands and send connected and start.

        Raises:
            StreamError: the handshake failed.
        """
        try:
            self._socket = await dial(url, signature, self, tls)
        except StreamError:
            # Nothing will report the end of a socket that never opened.
            self._finish(1006)
            raise
        # Timestamps count from here. Monotonic: a wall clock that is set would bend them.
        self._started_ns = self._clock.monotonic_ns()
        self.state = StreamState.STREAMING
        self._socket.send(self.writer.connected())
        self._socket.send(self.writer.start())

    async def stop(self) -> None:
        """Send stop, close the socket and wait for the other end, a moment at most."""
        if self._socket is None or self.ended.is_set():
            return
        self.stopped_by_us = True
        # First of all: no frame may follow the stop message.
        self.state = StreamState.ENDED
        # A stalled socket has to read again, or the other end's close is never seen.
        self._socket.set_reading(True)
        self._socket.send(self.writer.stop())
        self._socket.close(1000)
        try:
            async with asyncio.timeout(LINGER_S):
                await self.ended.wait()
        except TimeoutError:
            self.drop()

    def drop(self) -> None:
        """Drop the TCP connection without stop or close."""
        if self._socket is not None:
            self._socket.abort()
        self._finish(1006)

    def fail(self) -> None:
        """End after a step that raised."""
        self.drop()

    def set_reading(self, reading: bool) -> None:
        """Read what the application sends, or leave it in the socket."""
        if self._socket is not None:
            self._socket.set_reading(reading)

    @property
    def protocol_error(self) -> bool:
        """Whether the application broke RFC 6455."""
        return self._socket is not None and self._socket.protocol_error

    # --- from the application --------------------------------------------------------------

    def on_text(self, payload: bytes) -> None:
        """Take one text message."""
        try:
            message = parse(payload, self.writer.stream_sid)
        except FrameError as error:
            # Twilio ignores such a message and keeps the stream open.
            self._warn_once(error.code, str(error))
            return
        if isinstance(message, Audio):
            self._take_audio(message.payload)
        elif isinstance(message, PlayoutMark):
            now_ns = self._clock.monotonic_ns()
            # As many as can wait: the name of a mark that is dropped never comes back to be
            # removed.
            if len(self._mark_times) < MARKS_MAX:
                self._mark_times[message.name] = now_ns
            self._echo(self.playout.mark(message.name), now_ns)
        elif isinstance(message, Clear):
            self.counters.clears += 1
            self._echo(self.playout.clear(), self._clock.monotonic_ns())

    def on_binary(self, payload: bytes) -> None:
        """Refuse a binary message: there are none on a Media Stream."""
        self._warn_once(MALFORMED_MESSAGE, f"binary message of {len(payload)} bytes")

    def on_close(self, code: int) -> None:
        """Take the end of the socket."""
        self._finish(code)

    def _take_audio(self, payload: bytes) -> None:
        now_ns = self._clock.monotonic_ns()
        self.counters.media_in += 1
        if self._last_media_ns:
            gap_ns = now_ns - self._last_media_ns
            self.counters.gap_ms_max = max(self.counters.gap_ms_max, gap_ns / 1e6)
            self.counters.late_gaps += gap_ns > _LATE_NS
        self._last_media_ns = now_ns
        if not self.playout.push(payload):
            self._warn_once(31931, "media discarded")

    # --- the beat --------------------------------------------------------------------------

    def step(self, now_ns: int) -> None:
        """Play and send every frame that is due."""
        if self.state is not StreamState.STREAMING:
            return
        due = self._beats.due(self._started_ns, now_ns)
        # After a longer stall of this process the oldest frames are given up, in both directions.
        self._frames = max(self._frames, due - CATCH_UP_FRAMES_MAX)
        while self._frames < due:
            self._frames += 1
            self._step_frame(now_ns)

    def _step_frame(self, now_ns: int) -> None:
        heard = self.playout.pull()
        self._recording.add(heard, self._clock.epoch_ns())
        # Most frames end no mark, and this runs fifty times a second for each call.
        if self.playout.marks_waiting:
            self._echo(self.playout.due(), now_ns)
        if self._frames % _FRAMES_PER_S == 0:
            self.backlog_ms_history.append(self.playout.backlog_ms)
        frame = self._callee.step(heard)
        digit = self._callee.due_digit()
        # A frozen stream still hears and keeps its beat: only what it sends stops.
        if self.frozen:
            return
        if self._impairment is None:
            self._send_audio(frame, now_ns)
        else:
            for arrived in self._impairment.carry(frame):
                self._send_audio(arrived, now_ns)
        if digit is not None:
            self._send(self.writer.dtmf(digit))

    def _send_audio(self, frame: bytes, now_ns: int) -> None:
        assert self._socket is not None, "streaming"
        # Twilio discards what an application does not read, rather than let it grow old.
        if self._socket.waiting_bytes > CONGESTION_BYTES:
            self.counters.congested_frames += 1
            # One note for each congestion, not for each frame of it.
            if not self._congested:
                self._congested = True
                self._note(31930, "the application does not read")
            return
        self._congested = False
        # Wall-clock-like, from a first value of some tens of milliseconds, as in real captures.
        timestamp_ms = self._first_timestamp_ms + (now_ns - self._started_ns) // 1_000_000
        self._socket.send(self.writer.media(frame, timestamp_ms))
        self.counters.media_out += 1

    # --- plumbing --------------------------------------------------------------------------

    def _echo(self, names: list[str], now_ns: int) -> None:
        for name in names:
            waited_ms = (now_ns - self._mark_times.pop(name, now_ns)) / 1e6
            self.counters.mark_ms_max = max(self.counters.mark_ms_max, waited_ms)
            self.marks.append(MarkEcho(name, waited_ms))
            self._send(self.writer.mark(name))

    def _send(self, message: bytes) -> None:
        if self._socket is not None and self.state is StreamState.STREAMING:
            self._socket.send(message)

    def _warn_once(self, code: int, detail: str) -> None:
        # Twilio: this warning is generated once per stream.
        if code not in self._warned:
            self._warned.add(code)
            self._note(code, detail)

    def _finish(self, code: int) -> None:
        # The first end counts: a dropped socket reports its loss once more by itself.
        if self.ended.is_set():
            return
        self.close_code = code
        self.closed_at_ns = self._clock.epoch_ns()
        self.state = StreamState.ENDED
        self.ended.set()
