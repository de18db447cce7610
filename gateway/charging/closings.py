"""Keeps the endings of this node's calls until they are booked, and tells the gate lost ones again.

The spend gate may lose an ended call before its outbox is drained: flushed, rolled back by a
failover, or its outbox cut. The node that closed the call knows its true seconds as long as it
lives. Knows no live call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import structlog

from billing.ports import CdrStore, CloseResult, Closing, Opening, SpendGate

INTERVAL_S = 5.0
"""How soon a lost ending is told again: before this node's sweeper can have taken it for lost."""
KEPT_MAX = 10_000
"""Closings kept, some two kilobytes each; more than that wait only if nothing is booked for
minutes."""
TOLD_PER_ROUND_MAX = 500
"""Closings looked up in one round; those that are not booked go to the end of the queue."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """The end of a call, and the request that would open it again."""

    opening: Opening
    closing: Closing


class Closings:
    """The endings of one node's calls that the book may lack."""

    def __init__(self, gate: SpendGate, records: CdrStore) -> None:
        self._gate = gate
        self._records = records
        self._kept: dict[str, Kept] = {}
        """By call id, the oldest first."""
        self._is_full = False

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, opening: Opening, closing: Closing) -> None:
        """Keep a call's end until it is booked; if there are too many, drop the oldest."""
        self._kept[closing.call_id] = Kept(opening, closing)
        if len(self._kept) > KEPT_MAX:
            # What the gate itself remembers for a day still tells of that one.
            self._kept.pop(next(iter(self._kept)))
            if not self._is_full:
                log.error("too many endings not booked", count=KEPT_MAX, hint="Is SQL away?")
            self._is_full = True

    def find(self, call_id: str) -> Closing | None:
        """Return the end of a call that may not be booked yet; None if it is not kept."""
        kept = self._kept.get(call_id)
        return None if kept is None else kept.closing

    async def round(self) -> int:
        """Forget what is booked, and tell the rest again; return how many endings were lost.

        Raises StoreUnavailableError; the next round continues where this one stopped.
        """
        call_ids = list(islice(self._kept, TOLD_PER_ROUND_MAX))
        booked = await self._records.booked(call_ids) if call_ids else frozenset()
        for call_id in booked:
            self._kept.pop(call_id, None)
        # An outage is over once everything is booked: until then it has been logged.
        self._is_full = self._is_full and bool(self._kept)
        lost_count = 0
        for call_id in call_ids:
            kept = self._kept.pop(call_id, None)
            if kept is not None:
                # To the end of the queue before the request: one whose requests keep failing must
                # not stand in the way of the others.
                self._kept[call_id] = kept
                lost_count += await self._tell_again(kept)
        return lost_count

    async def _tell_again(self, kept: Kept) -> bool:
        """Make sure that the gate knows the ending and its outbox tells it; return if it was lost.

        If the gate has another ending of the call, that one is right: it was settled before.
        """
        closing, opening = kept.closing, kept.opening
        # Harmless where the gate knows the end: its tombstone answers.
        result = (await self._gate.close(closing)).result
        if result is CloseResult.UNKNOWN:
            await self._gate.open(opening)
            result = (await self._gate.close(closing)).result
        # Closed only now, the gate had lost the call. Closed before, it may still have lost the
        # outbox entry: it writes another one unless the first is waiting there.
        is_lost = result is CloseResult.CLOSED or await self._gate.tell_again(
            closing.call_id, closing.account_id, opening.detail
        )
        if is_lost:
            log.warning("end of call lost by the spend gate", call_id=closing.call_id)
        return is_lost


def reopening(opening: Opening, want_micros: int) -> Opening:
    """Return the request that opens a lost call again, which has used `want_micros`.

    It succeeds however little can be held.
    """
    return replace(opening, first_micros=0, want_micros=want_micros, sharers=0, is_running=True)


def keep_nothing(_opening: Opening, _closing: Closing) -> None:
    """Do nothing: nobody keeps closings."""
