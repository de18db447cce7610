"""Cuts the audio of one stream into whole 20 ms frames, and keeps the last of it as history.

Carriers expect mu-law in multiples of 160 bytes. What is left over waits for the audio that follows
it. The caller has to write more, or to complete the frame.
"""

from __future__ import annotations

from math import gcd
from typing import Final

from media.conceal import HISTORY_SAMPLES
from media.g711 import FRAME_SAMPLES, MULAW_SILENCE, SAMPLE_NS

HISTORY_PIECES: Final = 4
SILENCE: Final = bytes([MULAW_SILENCE])


class WholeFrames:
    """The audio of one stream: whole frames, and less than a frame left over."""

    __slots__ = ("history", "rest")

    def __init__(self) -> None:
        self.rest = b""
        """Written, but not yet part of a whole frame."""
        self.history = [SILENCE * HISTORY_SAMPLES]
        """The last pieces written. Each is a frame or longer, except the last."""

    @property
    def missing(self) -> int:
        """Bytes that are missing from the frame that the rest begins; 0 if there is no rest."""
        return -len(self.rest) % FRAME_SAMPLES

    @staticmethod
    def over_ns(size: int) -> int:
        """Return the longest rest that pieces of this many bytes leave."""
        # All rests are multiples of the common divisor, up to one step less than a frame.
        return (FRAME_SAMPLES - gcd(size, FRAME_SAMPLES)) * SAMPLE_NS

    def due(self, size: int) -> int:
        """Return how many bytes `write` would return for `size` bytes."""
        total = len(self.rest) + size
        return total - total % FRAME_SAMPLES

    def write(self, audio: bytes) -> bytes:
        """Take audio; return the whole frames there are now, possibly none."""
        self.remember(audio)
        if self.rest:
            audio = self.rest + audio
        over = len(audio) % FRAME_SAMPLES
        if not over:
            self.rest = b""
            return audio
        self.rest = audio[-over:]
        return audio[:-over]

    def complete(self, audio: bytes) -> bytes:
        """Take audio that does not continue the rest; return both as whole frames.

        Each is completed with silence.
        """
        if self.rest or len(audio) % FRAME_SAMPLES:
            audio = self.rest + SILENCE * self.missing + audio
            audio += SILENCE * (-len(audio) % FRAME_SAMPLES)
            self.rest = b""
        self.remember(audio[-HISTORY_SAMPLES:])
        return audio

    def remember(self, audio: bytes) -> None:
        """Keep the last pieces; short ones are joined, so that a few of them are enough history."""
        history = self.history
        if len(history[-1]) < FRAME_SAMPLES:
            audio = history.pop() + audio
        history.append(audio)
        del history[:-HISTORY_PIECES]
