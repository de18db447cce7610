"""Decides which nodes are gone, and renews this node's own lease.

A node whose lease has expired has had time to cut its calls: the lease outlasts all that a call may
use without the spend gate. But a store that was away, lost its data or had its clock set takes the
leases of living nodes with it. So a missing lease is believed at once only if this node's own
renewals prove that the store was there, forgot nothing and kept time for two renewal intervals, in
which every living node has renewed; otherwise as soon as they prove it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from database.errors import StoreUnavailableError

RENEWAL_S = 5.0
"""How often a lease is renewed."""
LEASE_MARGIN_S = 6
"""How much longer than horizon and grace a lease lasts: one renewal interval and its time-out."""
LEASE_S_MIN = 20
STEADY_NS_MIN = 10_000_000_000
"""How long the store must have proved itself: two renewals."""


class NodeLeases(Protocol):
    """The leases of all nodes. Raises StoreUnavailableError."""

    async def renew(self, node: str) -> bool:
        """Renew this node's lease; return whether the store still had the last one as written."""

    async def nodes(self) -> Mapping[str, bool]:
        """Return each known node -> whether it is alive."""

    async def forget(self, node: str) -> None:
        """Release a node's lease, and forget the node."""


def lease_s(horizon_s: int, grace_s: int) -> int:
    """Return how long a lease must last so that no call is settled that may still be live."""
    return max(LEASE_S_MIN, horizon_s + grace_s + LEASE_MARGIN_S)


class NodeWatch:
    """One node's view of the others. Every method that asks raises StoreUnavailableError."""

    def __init__(self, leases: NodeLeases, node: str, clock_ns: Callable[[], int]) -> None:
        """Watch for `node`; `clock_ns` is monotonic."""
        self._leases = leases
        self.node = node
        self._clock_ns = clock_ns
        self._renewing = asyncio.Lock()
        """One renewal at a time, because each checks the result of the last one."""
        self._steady_ns: int | None = None
        """Since when the store has proved itself without interruption; monotonic."""

    async def renew(self) -> None:
        """Renew this node's lease."""
        async with self._renewing:
            try:
                is_held = await self._leases.renew(self.node)
            except StoreUnavailableError:
                # The proof starts over: other nodes could not renew either, perhaps for longer.
                self._steady_ns = None
                raise
            # A lease that the store has lost or shortened is no proof, but this renewal begins one.
            if not is_held or self._steady_ns is None:
                self._steady_ns = self._clock_ns()

    async def nodes(self) -> Mapping[str, bool]:
        """Return each known node -> whether it is alive."""
        try:
            return await self._leases.nodes()
        except StoreUnavailableError:
            self._steady_ns = None
            raise

    def missed(self, lives: Mapping[str, bool], known: Collection[str]) -> set[str]:
        """Return those of `known`, other than this node, that `nodes` did not find alive."""
        return {node for node in known if not lives.get(node) and node != self.node}

    async def gone(self, missed: Collection[str]) -> Collection[str]:
        """Return which of the missed nodes are gone: all, or none yet."""
        if not missed:
            return ()
        # Renewed after `nodes` was asked: only a lease that is still there proves that the store
        # had forgotten nothing when it answered.
        await self.renew()
        return () if self.proven_since_ns is None else missed

    @property
    def proven_since_ns(self) -> int | None:
        """Since when the store has lost nothing; None while that is not proven yet."""
        # By this node's clock: the store's may have been set.
        since_ns = self._steady_ns
        is_steady = since_ns is not None and self._clock_ns() - since_ns >= STEADY_NS_MIN
        return since_ns if is_steady else None

    async def forget(self, node: str) -> None:
        """Release a node's lease, and forget the node."""
        await self._leases.forget(node)
