"""Cuts the audio of one stream into whole 20 ms frames, and remembers what was written last.

Carriers want mu-law in whole multiples of 160 bytes. What is left over waits for the audio that
follows it. Knows no time: whoever writes sees to it that more follows, or completes the frame.
"""

from __future__ import annotations

from math import gcd
from typing import Final

from media.conceal import HISTORY_SAMPLES
from media.g711 import FRAME_SAMPLES, MULAW_SILENCE, SAMPLE_NS

HISTORY_PIECES: Final = 4
SILENCE: Final = bytes([MULAW_SILENCE])


class WholeFrames:
    """What one stream was given: whole frames, and less than a frame that is left over."""

    __slots__ = ("history", "rest")

    def __init__(self) -> None:
        self.rest = b""
        """Written, but not yet part of a whole frame."""
        self.history = [SILENCE * HISTORY_SAMPLES]
        """The last pieces written, a frame or more each, save the last."""

    @property
    def missing(self) -> int:
        """Bytes that complete the frame which the rest begins; 0 if nothing is left over."""
        return -len(self.rest) % FRAME_SAMPLES

    @staticmethod
    def over_ns(size: int) -> int:
        """Return the most that pieces of so many bytes leave over at times."""
        return (FRAME_SAMPLES - gcd(size, FRAME_SAMPLES)) * SAMPLE_NS

    def due(self, size: int) -> int:
        """Return how many bytes go out if so many are written next."""
        total = len(self.rest) + size
        return total - total % FRAME_SAMPLES

    def write(self, audio: bytes) -> bytes:
        """Take audio; return the whole frames there are, which may be none."""
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
        """Take audio that does not continue what was written; return it, and the rest, in frames.

        Silence completes both.
        """
        if self.rest or len(audio) % FRAME_SAMPLES:
            audio = self.rest + SILENCE * self.missing + audio
            audio += SILENCE * (-len(audio) % FRAME_SAMPLES)
            self.rest = b""
        self.remember(audio[-HISTORY_SAMPLES:])
        return audio

    def remember(self, audio: bytes) -> None:
        """Keep what was written, short pieces joined, so that the last ones are history enough."""
        history = self.history
        if len(history[-1]) < FRAME_SAMPLES:
            audio = history.pop() + audio
        history.append(audio)
        del history[:-HISTORY_PIECES]
