"""Admits expensive work in turns: a maximum at once for each source, and in all.

The rest waits. Sources take turns; within a source it is first come, first served.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

_W = TypeVar("_W")


class Turns(Generic[_W]):
    """The places of one process. Every operation takes O(1); the owner bounds how many wait."""

    def __init__(self, per_source_max: int, in_all_max: int) -> None:
        self._per_source_max = per_source_max
        self._in_all_max = in_all_max
        self._held: Counter[bytes] = Counter()
        self._held_count = 0
        self._waiting: dict[bytes, dict[_W, None]] = {}
        """By source, in order of arrival."""
        self._next: dict[bytes, None] = {}
        """Sources with a waiter that may begin once a place is free, in order of their turns."""

    def __len__(self) -> int:
        return self._held_count

    def take(self, source: bytes, waiter: _W) -> bool:
        """Take a place, or wait for one; return whether it was taken."""
        # This overtakes no one: while a waiter could begin, no place is free.
        if self._held[source] < self._per_source_max and self._held_count < self._in_all_max:
            self._hold(source)
            return True
        self._waiting.setdefault(source, {})[waiter] = None
        self._line_up(source)
        return False

    def withdraw(self, source: bytes, waiter: _W) -> None:
        """Stop waiting; does nothing if it is not waiting."""
        waiting = self._waiting.get(source, {})
        waiting.pop(waiter, None)
        if not waiting:
            self._waiting.pop(source, None)
            self._next.pop(source, None)

    def give_back(self, source: bytes) -> tuple[bytes, _W] | None:
        """Free a place; if someone was waiting, return the source and waiter that got it."""
        self._held_count -= 1
        self._held[source] -= 1
        if not self._held[source]:
            # Sources come from the network, so none may be remembered that holds nothing.
            del self._held[source]
        self._line_up(source)
        if not self._next:
            return None
        # Sources in turn, not waiters in order: a flood from one address delays each of the others
        # by one place instead of the length of its queue.
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
        # A source at its own maximum leaves the line, and rejoins it when it gives a place back.
        if source in self._waiting and self._held[source] < self._per_source_max:
            self._next.setdefault(source)
