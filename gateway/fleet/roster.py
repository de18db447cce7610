"""Tracks which nodes there are and how full, and chooses one for a new call.

The data are a second old. A node's lease, not the roster, decides whose its calls are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from database.errors import StoreUnavailableError

INTERVAL_S: Final = 1.0
"""How often a node reports how full it is, and each process looks."""
UNEVEN: Final = 0.1
"""How much fuller, as a share of its room, a node may be than the emptiest to still take a call."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a node reports about itself."""

    node: str
    process: str
    """Random name of its process, used to ask it."""
    origin: str
    """Public origin at which `/n/<node>/` leads to it."""
    release: str
    started_at: str
    """RFC 3339, in UTC."""
    calls: int
    calls_max: int
    is_draining: bool
    """Whether it takes no new calls."""
    lag_ms: float
    """The most that its heartbeat was recently late."""
    log_level: str = ""
    """From which level on it logs, such as `info`; empty if its release does not say."""
    log_level_until: str | None = None
    """RFC 3339, in UTC: until when that differs from the node's setting; null: it does not."""
    secret_proof: str = ""
    """Shows which secret it has of those that all nodes should share, without showing it; empty if
    its release does not say."""

    @property
    def share(self) -> float:
        """How full it is: 0 to 1."""
        return self.calls / max(1, self.calls_max)


class NodeDirectory(Protocol):
    """Where nodes write their facts. Both methods raise StoreUnavailableError."""

    async def write(self, facts: NodeFacts) -> None:
        """Replace a node's facts, which expire by themselves."""

    async def read(self) -> Sequence[NodeFacts]:
        """Return the facts of all nodes that have recently written any."""


@dataclass(slots=True)
class Roster:
    """The nodes as one process sees them."""

    directory: NodeDirectory
    origin: str
    own: Callable[[], NodeFacts] | None
    """Returns the facts of this process's own node; None if it is not a node."""
    pick: Callable[[Sequence[NodeFacts]], NodeFacts]
    """Picks one of several at random, such as `random.choice`."""
    takes: Callable[[str], bool] = lambda _node: True
    """Tells whether connections for a node arrive, if this process knows that sooner than facts
    expire."""
    _seen: Sequence[NodeFacts] = field(default=(), init=False)
    _was_away: bool = field(default=False, init=False)
    """Whether the store was away, and nothing has been seen since."""

    async def look(self) -> None:
        """Report how full the own node is, and read the others. Raises StoreUnavailableError.

        While the store is away, the last known state stays.
        """
        try:
            if self.own is not None:
                await self.directory.write(self.own())
            self._seen = await self.directory.read()
        except StoreUnavailableError:
            self._was_away = True
            raise
        self._was_away = self._was_away and not self._seen

    @property
    def is_unheard(self) -> bool:
        """Whether no node is known only because none has reported since the store is back."""
        return self._was_away and not self.nodes()

    def nodes(self) -> Sequence[NodeFacts]:
        """Return all nodes, by name; the own one in its current state."""
        own = self.own() if self.own is not None else None
        others = [each for each in self._seen if own is None or each.node != own.node]
        return sorted([*others, *([own] if own else [])], key=lambda facts: facts.node)

    def find(self, node: str) -> NodeFacts | None:
        """Return a node's facts."""
        return next((each for each in self.nodes() if each.node == node), None)

    def choose(self) -> NodeFacts | None:
        """Return the node that is to hold a new call; None if none takes any."""
        own = self.own() if self.own is not None else None
        reachable = [
            each for each in self.nodes() if each.origin == self.origin and self.takes(each.node)
        ]
        fit = emptiest(reachable)
        if own is not None and own in fit:
            return own
        return self.pick(fit) if fit else None


def emptiest(nodes: Collection[NodeFacts]) -> Sequence[NodeFacts]:
    """Return the nodes that take calls and are at most `UNEVEN` fuller than the emptiest."""
    open_ones = [each for each in nodes if not each.is_draining and each.calls < each.calls_max]
    least = min((each.share for each in open_ones), default=0.0)
    return [each for each in open_ones if each.share <= least + UNEVEN]
