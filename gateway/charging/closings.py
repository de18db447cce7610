"""Keeps what this node has closed until the book of record has it, and says it again where it must.

The spend gate may lose an ended call before its outbox is drained: flushed, rolled back by a
failover, or its outbox cut. The node that closed the call knows its true seconds for as long as it
lives. Knows no live call.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import islice

from billing.ports import CdrStore, CloseResult, Closing, Opening, SpendGate

INTERVAL_S = 5.0
"""How soon a lost ending is told again: before this node's sweeper can have taken it for lost."""
KEPT_MAX = 10_000
"""Closings kept, some two kilobytes each; more wait only where nothing is booked for minutes."""
TOLD_PER_ROUND_MAX = 500
"""Closings asked about in one round; those that are not booked go to the end of the queue."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """A call that has ended, and how it would be opened again."""

    opening: Opening
    closing: Closing


class Closings:
    """What one node has closed and the book may lack."""

    def __init__(self, gate: SpendGate, records: CdrStore) -> None:
        self._gate = gate
        self._records = records
        self._kept: dict[str, Kept] = {}
        """The oldest first."""
        self._is_full = False

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, opening: Opening, closing: Closing) -> None:
        """Remember a call's end until it is booked; when there are too many, the oldest goes."""
        self._kept[closing.call_id] = Kept(opening, closing)
        if len(self._kept) > KEPT_MAX:
            self._kept.pop(next(iter(self._kept)))
            if not self._is_full:
                log.error("More than %d ended calls are not booked; is SQL away?", KEPT_MAX)
            self._is_full = True

    def find(self, call_id: str) -> Closing | None:
        """Return how a call ended that may not be booked yet."""
        kept = self._kept.get(call_id)
        return None if kept is None else kept.closing

    async def round(self) -> int:
        """Forget what is booked, and tell the rest again; return how many endings were lost.

        Raises StoreUnavailableError; the next round begins where this one ended.
        """
        call_ids = list(islice(self._kept, TOLD_PER_ROUND_MAX))
        booked = await self._records.booked(call_ids) if call_ids else frozenset()
        for call_id in booked:
            self._kept.pop(call_id, None)
        self._is_full = self._is_full and bool(self._kept)
        lost_count = 0
        for call_id in call_ids:
            kept = self._kept.pop(call_id, None)
            if kept is not None:
                self._kept[call_id] = kept
                lost_count += await self._tell_again(kept)
        return lost_count

    async def _tell_again(self, kept: Kept) -> bool:
        """See that the gate has the ending, and its outbox unless it was booked; say if it had not.

        A gate that has another ending of the call is right: somebody else settled it first.
        """
        closing, opening = kept.closing, kept.opening
        result = (await self._gate.close(closing)).result
        if result is CloseResult.UNKNOWN:
            await self._gate.open(opening)
            result = (await self._gate.close(closing)).result
        is_lost = result is CloseResult.CLOSED or await self._gate.tell_again(
            closing.call_id, closing.account_id, opening.detail
        )
        if is_lost:
            log.warning("The end of call %s was lost by the credit store.", closing.call_id)
        return is_lost


def reopening(opening: Opening, want_micros: int) -> Opening:
    """Return the request that opens a call again, which the gate has lost and which has used this.

    It is opened whatever it can hold.
    """
    return replace(opening, first_micros=0, want_micros=want_micros, sharers=0, is_running=True)


def keep_nothing(_opening: Opening, _closing: Closing) -> None:
    """Nobody keeps closings."""
