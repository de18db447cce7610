"""Frames of one stream that came before their turns, by sequence number. Knows no time of its own.

A carrier that has enough to play is given no more: what waits can still be put in order, and cut.
"""

from __future__ import annotations

from media.g711 import SAMPLE_NS
from media.rtp import SEQUENCE_MASK


class Held:
    """The frames that wait."""

    __slots__ = ("_frames", "length_ns")

    def __init__(self) -> None:
        self._frames: dict[int, bytes] = {}
        self.length_ns = 0
        """Of all together; what is missing between them is not counted."""

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, number: int) -> bool:
        return number in self._frames

    def put(self, number: int, frame: bytes) -> None:
        """Keep a frame whose number is not there yet."""
        self._frames[number] = frame
        self.length_ns += len(frame) * SAMPLE_NS

    def take(self, number: int) -> bytes:
        """Return the frame of this number, which no longer waits; empty if there is none."""
        frame = self._frames.pop(number, b"")
        self.length_ns -= len(frame) * SAMPLE_NS
        return frame

    def clear(self) -> None:
        """Forget them."""
        self._frames.clear()
        self.length_ns = 0

    def first_after(self, number: int) -> int:
        """Return how many numbers there are before the first that waits, from this one on."""
        return min((sequence - number) & SEQUENCE_MASK for sequence in self._frames)
