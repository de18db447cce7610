"""Counts calls that no one looks after, once their repair has had its time. Pure: time is given.

A ghost is a call at the carrier that belongs to no call here, an orphan a call whose node is gone
(`docs/GLOSSARY.md`). Both are usually over within seconds: nodes end the one and settle the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.call.ghost import Ghost
from gateway.nanoseconds import SECOND_NS

GHOST_S: Final = 60.0
"""How long a ghost may be in the list: several attempts at ending it."""
ORPHAN_NS: Final = 120 * SECOND_NS
"""How long a call may be without a live node: twice as long as it waits for its carrier."""
ORPHANS_MAX: Final = 10_000
"""Calls whose age is tracked; any beyond them are not counted."""


@dataclass(frozen=True, slots=True)
class LeftCalls:
    """The number of calls left."""

    at_carrier: int = 0
    """Ghosts that have not been ended."""
    of_lost_nodes: int = 0
    """Orphans that have not been settled."""


def ghosts_left(ghosts: Iterable[Ghost], wall_s: float) -> int:
    """Return how many ghosts have not been ended in time; `wall_s` is since the epoch."""
    return sum(wall_s - ghost.noted_s >= GHOST_S for ghost in ghosts)


class Orphans:
    """Since when calls have been without a live node."""

    def __init__(self) -> None:
        self._since_ns: dict[str, int] = {}

    def left(self, calls: Iterable[tuple[str, str]], alive: Collection[str], now_ns: int) -> int:
        """Return how many have not been settled in time; `now_ns` is monotonic.

        `calls` are ids of all open calls, each with its node.
        """
        before, self._since_ns = self._since_ns, {}
        for call_id, node in calls:
            if node not in alive and len(self._since_ns) < ORPHANS_MAX:
                self._since_ns[call_id] = before.get(call_id, now_ns)
        return sum(now_ns - since_ns >= ORPHAN_NS for since_ns in self._since_ns.values())
