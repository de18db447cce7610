"""Limits how often one source may have something done: a token bucket for each.

A connection or a request costs the loop some tenths of a millisecond before it is known who sent
it, so the count is by address. Pure: takes the time as an argument, and its memory is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gateway.nanoseconds import SECOND_NS

_SOURCES_MAX: Final = 8192
"""Sources remembered; the least recently seen is forgotten first."""


class SourceBudget:
    """The budgets of all sources of one process for one kind of work."""

    def __init__(self, per_second: int, burst: int) -> None:
        self._refill_ns = SECOND_NS // per_second
        self._burst_ns = burst * self._refill_ns
        # A bucket is one number, and a full one needs none: forgetting the least recently seen
        # source loses little.
        self._spent_until_ns: OrderedDict[bytes, int] = OrderedDict()
        """Source -> when its bucket is full again."""

    def __len__(self) -> int:
        return len(self._spent_until_ns)

    def take(self, source: bytes, now_ns: int) -> bool:
        """Count one for this source; return False if it is one too many."""
        # Popped and set again, which moves the source to the end of the order.
        spent_until_ns = max(self._spent_until_ns.pop(source, 0), now_ns)
        is_within = spent_until_ns + self._refill_ns - now_ns <= self._burst_ns
        # A refusal spends nothing: a source that tries too often keeps its rate, and loses only the
        # excess.
        self._spent_until_ns[source] = spent_until_ns + self._refill_ns * is_within
        if len(self._spent_until_ns) > _SOURCES_MAX:
            self._spent_until_ns.popitem(last=False)
        return is_within
