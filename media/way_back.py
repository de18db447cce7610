"""Detects from audio timestamps that the way from a carrier has become shorter.

Frames are late for many reasons, but none arrives sooner than the network allows: the earliest
frame of each second shows that time, plus the offset of the clocks.
"""

from __future__ import annotations

from typing import Final

from media.clock import MS_NS, NEVER_NS

SHORTER_NS_MIN: Final = 15 * MS_NS
"""A carrier's timestamps wander by some ten milliseconds."""
SECONDS: Final = 8
"""Each second is compared with the earliest frames of this many before it. Two clocks that are each
off by 200 ppm drift by no more than 4 ms in that time."""


class WayBack:
    """The way back of one stream."""

    __slots__ = ("_least_ns", "_past_ns")

    def __init__(self) -> None:
        self._least_ns = NEVER_NS
        self._past_ns: tuple[int, ...] = ()
        """The minimum of each of the last seconds."""

    def feed(self, now_ns: int, at_ms: int) -> None:
        """Note when audio with this carrier timestamp arrived."""
        # The offset of the two clocks is in this figure, and cancels out between seconds.
        self._least_ns = min(self._least_ns, now_ns - at_ms * MS_NS)

    def is_shorter(self) -> bool:
        """Return whether the way has become shorter in the last second; call once a second."""
        least_ns, self._least_ns = self._least_ns, NEVER_NS
        past_ns = self._past_ns
        if least_ns == NEVER_NS:
            # A silent second says nothing, but clocks drift on: minima older than `SECONDS` are
            # dropped.
            self._past_ns = past_ns[1:]
            return False
        if past_ns and least_ns < min(past_ns) - SHORTER_NS_MIN:
            # The older minima belong to the longer way; keeping them would report the change again.
            self._past_ns = (least_ns,)
            return True
        self._past_ns = (*past_ns, least_ns)[-SECONDS:]
        return False
