"""Settles the calls of nodes that are gone.

Calls come from the spend gate's list, nodes from `node_watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from billing.ports import OpenCall
from gateway.charging.node_watch import NodeWatch
from gateway.charging.recovery import Settler

INTERVAL_S = 1.0
"""How soon an expired lease is noticed."""
SWEEP_NS = 5_000_000_000
"""How often to list the calls of missing nodes and those that wait for their carrier."""
CARRIER_PATIENCE_NS = 60_000_000_000
"""How long a call waits for the carrier to report that it has ended."""
FULL_LOOK_EVERY = 12
"""After this many sweeps, all calls are listed although no node is known to be gone: once a
minute."""
CALLS_PER_SWEEP_MAX = 200


class Sweeper:
    """The sweeps of one node. Several nodes may sweep the same calls; each is settled once."""

    def __init__(
        self,
        settler: Settler,
        watch: NodeWatch,
        *,
        is_live_here: Callable[[str], bool],
        clock_ns: Callable[[], int],
    ) -> None:
        """Sweep for a node; `is_live_here` takes a call id: whether the node holds that call."""
        self._settler = settler
        self._watch = watch
        self._is_live_here = is_live_here
        self._clock_ns = clock_ns
        self._sweeps = 0
        self._due_ns = 0
        self._missed: Collection[str] = ()
        """Nodes, known by a lease or by calls, that the last sweep did not find alive."""
        self._gone: Collection[str] = ()
        """Those of them whose calls have been looked for."""
        self._looked_since_ns: int | None = None
        """`NodeWatch.proven_since_ns` when all calls were last listed."""
        self._is_filled = False
        """Whether the spend gate was filled since all calls were last listed."""
        self._waiting_ns: dict[str, int] = {}
        """Call id -> monotonic time since when its carrier has given no answer."""

    def gate_filled(self) -> None:
        """List all calls in the next sweep: a gate that was filled has calls that it had lost."""
        self._is_filled = True

    async def sweep(self) -> int:
        """Settle the calls of nodes that are gone; return how many were tried.

        Raises StoreUnavailableError.
        """
        lives = await self._watch.nodes()
        missed = self._watch.missed(lives, lives.keys() | set(self._missed))
        gone = await self._watch.gone(missed)
        # Listing all open calls is the expensive part; this runs every second.
        if not self._must_look(gone):
            return 0
        # Read before the listing: a proof completed during it requires another one.
        proven_since_ns = self._watch.proven_since_ns
        calls = await self._settler.gate.open_calls()
        self._is_filled = False
        self._looked_since_ns = proven_since_ns
        self._missed = self._watch.missed(lives, lives.keys() | {call.node for call in calls})
        # Asked again for nodes that appeared only in the listing.
        self._gone = gone = await self._watch.gone(self._missed)
        orphans = [call for call in calls if self._is_orphan(call, gone)][:CALLS_PER_SWEEP_MAX]
        left = {call.call_id for call in calls} - {call.call_id for call in orphans}
        left.update(await self._settle(orphans))
        # A node is forgotten once none of its calls is left.
        for node in set(gone) & lives.keys() - {
            call.node for call in calls if call.call_id in left
        }:
            await self._watch.forget(node)
        return len(orphans)

    def _must_look(self, gone: Collection[str]) -> bool:
        """Whether to list all calls: at once if something has changed, else periodically."""
        now_ns = self._clock_ns()
        proven_since_ns = self._watch.proven_since_ns
        is_new = bool(set(gone) - set(self._gone)) or self._is_filled
        # A store that has lost its data has lost the list of nodes with it: a node that died before
        # it renewed its lease there is known by its calls alone.
        is_new |= proven_since_ns not in (None, self._looked_since_ns)
        if not is_new and now_ns < self._due_ns:
            self._gone = gone
            return False
        self._due_ns = now_ns + SWEEP_NS
        self._sweeps += 1
        is_due = self._sweeps % FULL_LOOK_EVERY == 1
        return is_due or is_new or bool(gone or self._missed or self._waiting_ns)

    def _is_orphan(self, call: OpenCall, gone: Collection[str]) -> bool:
        # From an earlier run, or its first hold got no answer.
        if call.node == self._watch.node:
            return not self._is_live_here(call.call_id)
        return call.node in gone

    async def _settle(self, orphans: Sequence[OpenCall]) -> Collection[str]:
        """Settle calls; return the ids of those that wait for their carrier."""
        # Those that have waited too long are settled at their confirmed seconds, and their phone's
        # leg is left to the ghosts.
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
        return self._waiting_ns.keys()
