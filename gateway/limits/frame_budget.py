"""Bounds the frames accepted from one peer: a steady rate plus a burst; the excess is dropped.

Distinguishes a peer that keeps exceeding the rate from one whose network has delayed its frames.
Pure: times are nanoseconds of the caller's clock. `_native.c` counts by the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MS_NS: Final = 1_000_000
STANDSTILL_NS_MIN: Final = 1_000 * MS_NS
"""A shorter standstill leaves no more than a burst."""
STANDSTILL_NS_MAX: Final = 60_000 * MS_NS
"""Longer than a call outlives its node's lease, or a peer an unanswered ping."""

TAKEN: Final = 0
DROPPED: Final = 1
FLOODED: Final = 2


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """What one peer may send. A frame counts once, plus once for each KiB it has."""

    frame_ns: int = 9 * MS_NS
    """Steady rate, one frame per this: 10 ms of audio, from a clock that is fast."""
    burst_frames: int = 300
    """Burst: 3 s of 10 ms frames, or 6 s of 20 ms. Playout keeps a quarter of a second of what a
    stalled network delivers at once, so nothing audible is dropped."""
    excess_ns: int = 40 * MS_NS
    """One excess frame is forgiven per this."""
    excess_frames_max: int = 1_500
    """More unforgiven frames than this end the connection. Half a minute's stall of 20 ms frames
    leaves fewer; a peer that sends twice what it may reaches it within half a minute, and one that
    sends 100,000 a second within 20 ms."""


class Standstill:
    """Excuses what peers sent while this process was not reading.

    A third bucket beside the two of each peer: what a peer may send meanwhile at the steady rate.
    """

    __slots__ = ("_excess_ns_per_frame", "_frame_ns", "_looked_ns", "_most_ns", "excused_at_ns")

    def __init__(self, limits: BudgetLimits, now_ns: int) -> None:
        self._frame_ns = limits.frame_ns
        self._excess_ns_per_frame = limits.excess_ns
        self._most_ns = STANDSTILL_NS_MAX // limits.frame_ns * limits.excess_ns
        self._looked_ns = now_ns
        self.excused_at_ns = 0
        """When the bucket will be empty."""

    def look(self, now_ns: int) -> int:
        """Return when the bucket will be empty; call several times a second."""
        stood_ns = now_ns - self._looked_ns
        self._looked_ns = now_ns
        # A peer may keep sending at its steady rate while no one reads. If all of it arrives at
        # once, what is beyond the burst counts as excess, and that much of it is excused.
        if stood_ns > STANDSTILL_NS_MIN:
            excused_ns = stood_ns // self._frame_ns * self._excess_ns_per_frame
            begun_ns = max(self.excused_at_ns, now_ns)
            # Bounded, so that a machine that was suspended overnight does not excuse a flood of
            # that length.
            self.excused_at_ns = min(begun_ns + excused_ns, now_ns + self._most_ns)
        return self.excused_at_ns


class FrameBudget:
    """Two leaky buckets: of accepted frames, and of dropped ones."""

    __slots__ = (
        "_excess_at_ns",
        "_limits",
        "_standstill",
        "_taken_at_ns",
    )

    def __init__(self, limits: BudgetLimits, standstill: Standstill | None = None) -> None:
        self._standstill = standstill
        self._limits = limits
        self._taken_at_ns = 0
        """When the bucket of accepted frames will be empty."""
        self._excess_at_ns = 0

    def spend(self, now_ns: int, frames: int) -> int:
        """Count what has arrived: TAKEN, DROPPED, or FLOODED if dropping is not enough."""
        # A bucket is the time at which it will be empty: it leaks by itself, and nothing has to run
        # for a peer that is silent.
        limits = self._limits
        taken_at_ns = max(self._taken_at_ns, now_ns) + frames * limits.frame_ns
        if taken_at_ns - now_ns <= limits.burst_frames * limits.frame_ns:
            self._taken_at_ns = taken_at_ns
            return TAKEN
        # Dropped frames do not fill the first bucket, so a peer is heard again as soon as it slows
        # down.
        excess_at_ns = max(self._excess_at_ns, now_ns) + frames * limits.excess_ns
        self._excess_at_ns = excess_at_ns
        from_ns = now_ns
        if self._standstill is not None:
            from_ns = max(from_ns, self._standstill.look(now_ns))
        # Only continued excess is a flood: a network that stalled delivers it once.
        excess_max_ns = limits.excess_frames_max * limits.excess_ns
        return FLOODED if excess_at_ns - from_ns > excess_max_ns else DROPPED
