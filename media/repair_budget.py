"""Limits the work that all streams of a process together spend on repairing audio.

A repair (concealment, cross-fade, time stretching) costs as much as forwarding thirty frames. After
a stall of the process all streams ask for one at once; if all were granted, the process would stall
again and stay overloaded for seconds. A stream that is refused forwards its audio unrepaired, or
conceals in a cheaper way.
"""

from __future__ import annotations

from typing import Final

REPAIR_NS: Final = 500_000
"""Interval at which the bucket gains one repair. A repair takes a fifth of it, so that repairs take
at most a fifth of a core. This is one for each lost packet of 1,200 calls with 3 % loss."""
REPAIRS_MAX: Final = 20
"""Capacity of the bucket: 2 ms of work, a tenth of a frame."""


class RepairBudget:
    """A token bucket of repairs, kept as the time at which it is full again (GCRA)."""

    __slots__ = ("_full_ns",)

    def __init__(self) -> None:
        self._full_ns = 0

    def take(self, now_ns: int) -> bool:
        """Take one repair; return False if the bucket is empty."""
        # A full bucket gains nothing by waiting, hence the maximum.
        full_ns = max(self._full_ns, now_ns) + REPAIR_NS
        if full_ns > now_ns + REPAIRS_MAX * REPAIR_NS:
            return False
        self._full_ns = full_ns
        return True
