"""Settles the calls of nodes that are gone, and renews this node's lease.

A node without a lease has had time to cut its calls: the lease outlasts all that a call may use
without the spend gate. It is believed gone only after it has been missed for a while, because a
store that was away or has lost its data takes the leases of living nodes with it.
Knows calls only as the spend gate lists them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from billing.errors import StoreUnavailableError
from billing.ports import OpenCall
from gateway.engine.recovery import Settler

INTERVAL_S = 5.0
"""How often a lease is renewed and the calls of nodes that are gone are looked for."""
LEASE_MARGIN_S = 6
"""What a lease holds beyond horizon and grace: one renewal and its time-out."""
LEASE_S_MIN = 20
MISSED_NS_MIN = 10_000_000_000
"""How long a node must have been missed: two renewals."""
CARRIER_PATIENCE_NS = 60_000_000_000
"""How long a call waits for a carrier who does not say that it has ended."""
FULL_LOOK_EVERY = 12
"""Sweeps of which one lists all calls although no node is known to be gone: a minute."""
CALLS_PER_SWEEP_MAX = 200

log = logging.getLogger(__name__)


class NodeLeases(Protocol):
    """Which nodes live. Raises StoreUnavailableError."""

    async def renew(self, node: str) -> None:
        """Say that this node lives."""

    async def nodes(self) -> Mapping[str, bool]:
        """Return all nodes known -> whether they live."""

    async def forget(self, node: str) -> None:
        """Give a node's lease back, and forget the node."""


def lease_s(horizon_s: int, grace_s: int) -> int:
    """Return how long a lease must hold, so that no call is settled that may still be live."""
    return max(LEASE_S_MIN, horizon_s + grace_s + LEASE_MARGIN_S)


class Sweeper:
    """One node's sweeps. Several nodes may sweep the same calls; each call is settled once."""

    def __init__(
        self,
        settler: Settler,
        leases: NodeLeases,
        *,
        node: str,
        is_live_here: Callable[[str], bool],
        clock_ns: Callable[[], int],
    ) -> None:
        """Sweep for a node; `is_live_here` knows the ids of its own live calls."""
        self._settler = settler
        self._leases = leases
        self._node = node
        self._is_live_here = is_live_here
        self._clock_ns = clock_ns
        self._sweeps = 0
        self._missed_ns: dict[str, int] = {}
        """Node -> since when it has been missed without a break."""
        self._waiting_ns: dict[str, int] = {}
        """Call -> since when its carrier has been asked in vain."""

    async def renew(self) -> None:
        """Renew this node's lease. Raises StoreUnavailableError."""
        await self._leases.renew(self._node)

    async def sweep(self) -> int:
        """Settle the calls of nodes that are gone; return how many were tried.

        Raises StoreUnavailableError.
        """
        try:
            leases = await self._leases.nodes()
            if not self._must_look(leases):
                return 0
            calls = await self._settler.gate.open_calls()
        except StoreUnavailableError:
            # Whoever is missing when the store comes back may only not have renewed yet.
            self._missed_ns.clear()
            raise
        gone = self._gone(leases, calls)
        orphans = [call for call in calls if self._is_orphan(call, gone)][:CALLS_PER_SWEEP_MAX]
        await self._settle(orphans)
        for node in gone & leases.keys() - {call.node for call in calls}:
            await self._leases.forget(node)
        return len(orphans)

    def _must_look(self, leases: Mapping[str, bool]) -> bool:
        self._sweeps += 1
        is_missed = any(not lives for node, lives in leases.items() if node != self._node)
        is_due = self._sweeps % FULL_LOOK_EVERY == 1
        return is_due or is_missed or bool(self._missed_ns or self._waiting_ns)

    def _gone(self, leases: Mapping[str, bool], calls: Sequence[OpenCall]) -> set[str]:
        now_ns = self._clock_ns()
        known = leases.keys() | {call.node for call in calls}
        missed = {node for node in known if not leases.get(node) and node != self._node}
        self._missed_ns = {node: self._missed_ns.get(node, now_ns) for node in missed}
        return {
            node for node, since_ns in self._missed_ns.items() if now_ns - since_ns >= MISSED_NS_MIN
        }

    def _is_orphan(self, call: OpenCall, gone: set[str]) -> bool:
        if call.node == self._node:
            return not self._is_live_here(call.call_id)
        return call.node in gone

    async def _settle(self, orphans: Sequence[OpenCall]) -> None:
        now_ns = self._clock_ns()
        overdue = [
            call
            for call in orphans
            if now_ns - self._waiting_ns.get(call.call_id, now_ns) >= CARRIER_PATIENCE_NS
        ]
        late_ids = {call.call_id for call in overdue}
        await self._settler.settle(overdue, without_carrier=True)
        waiting = await self._settler.settle([c for c in orphans if c.call_id not in late_ids])
        self._waiting_ns = {
            call.call_id: self._waiting_ns.get(call.call_id, now_ns) for call in waiting
        }
