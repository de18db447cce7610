"""Computes the spend caps of one call, which change at midnight UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from billing.ports import SpendCap
from billing.spend_limits import SpendLimits, day_left
from gateway.browser.reports import WallClock


class CallCaps:
    """The caps that follow from a call's limits, computed once a day."""

    __slots__ = ("_caps", "_end_ns", "_limits", "_wall")

    def __init__(self, limits: SpendLimits, wall: WallClock) -> None:
        self._limits = limits
        self._wall = wall
        self._caps: Sequence[SpendCap] = ()
        self._end_ns = 0
        """Monotonic time at which the caps have to be computed again."""

    def at(self, now_ns: int) -> Sequence[SpendCap]:
        """Return the caps that hold at a monotonic time."""
        # The period is part of a cap's name, so that midnight needs new caps and no reset.
        if now_ns >= self._end_ns:
            at = self._wall.date(now_ns)
            self._caps = self._limits.caps(at)
            self._end_ns = now_ns + day_left(at) // timedelta(microseconds=1) * 1_000
        return self._caps
