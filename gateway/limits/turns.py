"""Who of many sources may begin something dear: so many at once of each and in all.

The others wait, the sources take turns, and within a source who came first is first. Pure: knows
neither what is begun nor what waits.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

_W = TypeVar("_W")


class Turns(Generic[_W]):
    """The places of one process. Every operation takes O(1); who waits is bounded by its owner."""

    def __init__(self, per_source_max: int, in_all_max: int) -> None:
        self._per_source_max = per_source_max
        self._in_all_max = in_all_max
        self._held: Counter[bytes] = Counter()
        self._held_count = 0
        self._waiting: dict[bytes, dict[_W, None]] = {}
        """By source, who came first first."""
        self._next: dict[bytes, None] = {}
        """Sources of which somebody waits and may begin once a place is free, in turn."""

    def __len__(self) -> int:
        return self._held_count

    def take(self, source: bytes, waiter: _W) -> bool:
        """Take a place, or wait for one; tell whether it was taken."""
        if self._held[source] < self._per_source_max and self._held_count < self._in_all_max:
            self._hold(source)
            return True
        self._waiting.setdefault(source, {})[waiter] = None
        self._line_up(source)
        return False

    def withdraw(self, source: bytes, waiter: _W) -> None:
        """Wait no longer; who does not wait is left alone."""
        waiting = self._waiting.get(source, {})
        waiting.pop(waiter, None)
        if not waiting:
            self._waiting.pop(source, None)
            self._next.pop(source, None)

    def give_back(self, source: bytes) -> tuple[bytes, _W] | None:
        """Free a place; return who has taken it, with its source, if anybody waited for it."""
        self._held_count -= 1
        self._held[source] -= 1
        if not self._held[source]:
            del self._held[source]
        self._line_up(source)
        if not self._next:
            return None
        following = next(iter(self._next))
        del self._next[following]
        waiter = next(iter(self._waiting[following]))
        self.withdraw(following, waiter)
        self._hold(following)
        self._line_up(following)
        return following, waiter

    def _hold(self, source: bytes) -> None:
        self._held[source] += 1
        self._held_count += 1

    def _line_up(self, source: bytes) -> None:
        """Put a source behind the others if it may go on."""
        if source in self._waiting and self._held[source] < self._per_source_max:
            self._next.setdefault(source)
