"""Holds frames that arrived before their turns, by sequence number.

Frames wait here rather than at the carrier, because here they can still be reordered, shortened and
dropped. `media.sequencer` decides which frame is next.
"""

from __future__ import annotations

from media.g711 import SAMPLE_NS
from media.rtp import SEQUENCE_MASK


class JitterBuffer:
    """The waiting frames of one stream."""

    __slots__ = ("_frames", "length_ns")

    def __init__(self) -> None:
        # By number and unsorted: few frames ever wait, and the numbers wrap.
        self._frames: dict[int, bytes] = {}
        self.length_ns = 0
        """Length of all waiting frames together, without the gaps between them."""

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, number: int) -> bool:
        return number in self._frames

    def put(self, number: int, frame: bytes) -> None:
        """Add a frame whose number is not there yet."""
        self._frames[number] = frame
        self.length_ns += len(frame) * SAMPLE_NS

    def take(self, number: int) -> bytes:
        """Remove the frame of this number and return it; empty if there is none."""
        frame = self._frames.pop(number, b"")
        self.length_ns -= len(frame) * SAMPLE_NS
        return frame

    def clear(self) -> None:
        """Remove all frames."""
        self._frames.clear()
        self.length_ns = 0

    def first_after(self, number: int) -> int:
        """Return the distance from this number to the first waiting frame at or after it."""
        return min((sequence - number) & SEQUENCE_MASK for sequence in self._frames)
