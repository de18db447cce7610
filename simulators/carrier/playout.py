"""Simulates Twilio's playout: audio the application sent and the callee has not heard yet.

Twilio neither paces nor drops: it plays 8,000 bytes a second and keeps up to ten minutes. One frame
is pulled every 20 ms; a mark comes due when the audio before it has been played, at once when
nothing waits, and on `clear`. https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from media.g711 import FRAME_MS, FRAME_SAMPLES, SILENCE_FRAME

FRAME_BYTES: Final = FRAME_SAMPLES
BYTES_PER_MS: Final = FRAME_BYTES // FRAME_MS
CAPACITY_BYTES: Final = 10 * 60 * 1000 * BYTES_PER_MS
"""Warning 31931: more than ten minutes buffered, no more data is accepted."""
MARKS_MAX: Final = 10_000
"""Marks that may wait at a time; further ones are dropped like audio over the cap."""
SILENCE: Final = SILENCE_FRAME


@dataclass(slots=True)
class PlayoutCounters:
    """What a test reads to judge how evenly the application sends."""

    played_bytes: int = 0
    received_bytes: int = 0
    refused_bytes: int = 0
    """Sent over the cap and discarded."""
    cleared_bytes: int = 0
    underruns: int = 0
    """Times the audio ran out; a pause that the application means counts as well."""
    starved_frames: int = 0
    """Frames filled with silence after the first audio."""
    backlog_bytes_max: int = 0


class Playout:
    """The buffer of one stream."""

    def __init__(self) -> None:
        self.counters = PlayoutCounters()
        self.backlog_bytes = 0
        self._waiting: deque[bytes] = deque()
        self._offset = 0
        self._marks: deque[tuple[int, str]] = deque()
        self._position = 0
        self._playing = False
        self._begun = False

    @property
    def backlog_ms(self) -> int:
        """Audio still to be heard: the one-way delay that the application has built up."""
        return self.backlog_bytes // BYTES_PER_MS

    def push(self, payload: bytes) -> bool:
        """Take mu-law audio of any length; return False when the buffer is over its cap."""
        # Refused whole: Twilio accepts no more data until some has been played.
        if self.backlog_bytes + len(payload) > CAPACITY_BYTES:
            self.counters.refused_bytes += len(payload)
            return False
        if payload:
            self._waiting.append(payload)
            self.backlog_bytes += len(payload)
            self.counters.received_bytes += len(payload)
            self.counters.backlog_bytes_max = max(
                self.counters.backlog_bytes_max, self.backlog_bytes
            )
        return True

    def mark(self, name: str) -> list[str]:
        """Take a mark; return it when it is due already."""
        # Nothing is ahead of it: Twilio returns such a mark at once.
        if not self.backlog_bytes:
            return [name]
        if len(self._marks) < MARKS_MAX:
            # Due when all that waits now has been played. Bytes, not frames: payloads have any
            # length.
            self._marks.append((self._position + self.backlog_bytes, name))
        return []

    def clear(self) -> list[str]:
        """Forget all waiting audio; return every waiting mark, in order."""
        self.counters.cleared_bytes += self.backlog_bytes
        self._waiting.clear()
        self._offset = self.backlog_bytes = 0
        self._playing = False
        # Cleared marks come back as well: an echo does not prove that audio was heard.
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def pull(self) -> bytes:
        """Return the next 20 ms that the called party hears, filled up with silence."""
        if not self.backlog_bytes:
            # Twilio keeps the line open with silence; that is counted here, not refused.
            self._starve()
            return SILENCE
        frame = self._take()
        self._playing = self._begun = True
        self._position += len(frame)
        self.backlog_bytes -= len(frame)
        self.counters.played_bytes += len(frame)
        # How Twilio fills a frame that runs out half way is undocumented.
        if len(frame) < FRAME_BYTES:
            frame += SILENCE[len(frame) :]
        return frame

    def due(self) -> list[str]:
        """Return the marks whose audio has now been played, in order."""
        names: list[str] = []
        while self._marks and self._marks[0][0] <= self._position:
            names.append(self._marks.popleft()[1])
        return names

    def release(self) -> None:
        """Free the audio of an ended stream; what was measured stays."""
        # Up to ten minutes of audio for each ended stream would be kept otherwise. Nothing may be
        # pulled after this: the backlog still shows what was left.
        self._waiting.clear()

    @property
    def marks_waiting(self) -> int:
        """Marks not yet due."""
        return len(self._marks)

    def _starve(self) -> None:
        if self._playing:
            self._playing = False
            self.counters.underruns += 1
        # Silence before the first audio is no fault of the application.
        if self._begun:
            self.counters.starved_frames += 1

    def _take(self) -> bytes:
        head = self._waiting[0]
        # The usual case, one whole frame in each message, costs no copy.
        if self._offset == 0 and len(head) == FRAME_BYTES:
            return self._waiting.popleft()
        parts: list[bytes] = []
        wanted = FRAME_BYTES
        while wanted and self._waiting:
            head = self._waiting[0]
            part = head[self._offset : self._offset + wanted]
            parts.append(part)
            wanted -= len(part)
            self._offset += len(part)
            if self._offset == len(head):
                self._waiting.popleft()
                self._offset = 0
        return b"".join(parts)
