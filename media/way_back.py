"""Notices that the way from a carrier has become shorter, by the times it gives its audio.

Frames come late for many reasons, but none comes sooner than its way is long: the soonest of each
second tells how long that is, but for the clocks' offset. Knows no frame and no clock.
"""

from __future__ import annotations

from typing import Final

from media.nanoseconds import MS_NS, NEVER_NS

SHORTER_NS_MIN: Final = 15 * MS_NS
"""A carrier's timestamps wander by some ten milliseconds."""
SECONDS: Final = 8
"""The soonest of so many seconds is compared with. Clocks that are off by 200 ppm each come no more
than 4 ms apart in that."""


class WayBack:
    """The way of one stream."""

    __slots__ = ("_least_ns", "_past_ns")

    def __init__(self) -> None:
        self._least_ns = NEVER_NS
        self._past_ns: tuple[int, ...] = ()
        """The least of each of the last seconds."""

    def feed(self, now_ns: int, at_ms: int) -> None:
        """Take note of when audio came that the carrier gave this time."""
        self._least_ns = min(self._least_ns, now_ns - at_ms * MS_NS)

    def is_shorter(self) -> bool:
        """Return, asked once a second, whether the way has become shorter in it."""
        least_ns, self._least_ns = self._least_ns, NEVER_NS
        past_ns = self._past_ns
        if least_ns == NEVER_NS:
            self._past_ns = past_ns[1:]
            return False
        if past_ns and least_ns < min(past_ns) - SHORTER_NS_MIN:
            self._past_ns = (least_ns,)
            return True
        self._past_ns = (*past_ns, least_ns)[-SECONDS:]
        return False
