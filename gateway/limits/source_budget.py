"""How often one source may have something done: a token bucket for each.

Whoever the sender says to be, a connection or a request costs the loop some tenths of a millisecond
before that is known. Pure: time is an argument, and what is remembered is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gateway.nanoseconds import SECOND_NS

_SOURCES_MAX: Final = 8192
"""Sources remembered; the one that was heard of least recently is forgotten first."""


class SourceBudget:
    """What all sources of one process may have done of one kind."""

    def __init__(self, per_second: int, burst: int) -> None:
        self._refill_ns = SECOND_NS // per_second
        self._burst_ns = burst * self._refill_ns
        self._spent_until_ns: OrderedDict[bytes, int] = OrderedDict()
        """Source -> when its bucket is full again."""

    def __len__(self) -> int:
        return len(self._spent_until_ns)

    def take(self, source: bytes, now_ns: int) -> bool:
        """Count one of this source; False where it is one too many."""
        spent_until_ns = max(self._spent_until_ns.pop(source, 0), now_ns) + self._refill_ns
        is_within = spent_until_ns - now_ns <= self._burst_ns
        self._spent_until_ns[source] = spent_until_ns if is_within else now_ns + self._burst_ns
        if len(self._spent_until_ns) > _SOURCES_MAX:
            self._spent_until_ns.popitem(last=False)
        return is_within
