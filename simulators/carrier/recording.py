"""Keeps the newest minutes of what the called party heard, in memory, for tests. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from media.g711 import FRAME_MS
from simulators.carrier.playout import FRAME_BYTES, SILENCE

_FRAMES_PER_S: Final = 1000 // FRAME_MS


class Recording:
    """A ring of 20 ms mu-law frames; the oldest fall off and are counted."""

    def __init__(self, seconds_max: int) -> None:
        self._frames: deque[bytes] = deque(maxlen=seconds_max * _FRAMES_PER_S)
        self.frames = 0
        """Frames ever heard."""
        self.started_at_ns: int | None = None
        """Epoch time of the first frame ever heard."""

    def add(self, frame: bytes, at_ns: int) -> None:
        """Keep one frame; silence costs no memory."""
        if self.started_at_ns is None:
            self.started_at_ns = at_ns
        self.frames += 1
        # All silent frames are one object: a quiet call costs references only.
        self._frames.append(SILENCE if frame == SILENCE else frame)

    def add_audio(self, audio: bytes, at_ns: int) -> None:
        """Keep audio of any length, its last frame filled with silence."""
        audio += SILENCE[: -len(audio) % FRAME_BYTES]
        for offset in range(0, len(audio), FRAME_BYTES):
            self.add(audio[offset : offset + FRAME_BYTES], at_ns)

    @property
    def lost_frames(self) -> int:
        """Frames that fell off: where in the call the kept audio begins."""
        return self.frames - len(self._frames)

    def audio(self) -> bytes:
        """Return what is kept, oldest first."""
        return b"".join(self._frames)

    def forget(self) -> None:
        """Drop all audio."""
        self._frames.clear()
