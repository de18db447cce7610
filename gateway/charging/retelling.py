"""Resends to the book of record calls that it lacks and the spend gate remembers.

Such a call has lost its outbox entries, or the book was restored from a copy that is older than the
call. The gate remembers an ended call for a day (`billing.ports.GateEnding`). What is sent is
state, not a change, so any process may send it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from billing.cdr import CallOpened
from billing.ports import CdrStore, GateEnding, PartitionState, Positions, SpendGate
from billing.reconcile import repairs
from gateway.charging.recovery import Drain
from gateway.unreadable import UNREADABLE

ENDINGS_PER_PAGE = 500
"""Endings read and looked up at once."""

_OPENED = msgspec.json.Decoder(CallOpened)


async def lacking(records: CdrStore, endings: Sequence[GateEnding]) -> list[GateEnding]:
    """Return those whose end the book lacks, or whose beginning if the gate knows it.

    Raises StoreUnavailableError.
    """
    found: list[GateEnding] = []
    for start in range(0, len(endings), ENDINGS_PER_PAGE):
        page = endings[start : start + ENDINGS_PER_PAGE]
        booked = await records.booked([ending.call_id for ending in page])
        doubtful = [ending for ending in page if ending.call_id not in booked]
        # A beginning that the gate does not know either cannot be sent: only the end counts.
        headless = [ending.call_id for ending in doubtful if not ending.opened]
        ended = await records.ended(headless) if headless else ()
        found += [ending for ending in doubtful if ending.call_id not in ended]
    return found


async def tell(gate: SpendGate, ending: GateEnding) -> bool:
    """Put an ending into the outbox, unless it is there or the gate knows too little of it.

    Returns whether it was put there. Raises StoreUnavailableError.
    """
    # After a filling from a book that knew no more, the gate has a tombstone and no account.
    if not ending.account_id:
        return False
    return await gate.tell_again(ending.call_id, ending.account_id, ending.opened)


def whose(ending: GateEnding) -> str:
    """Return a call's account by its end, else by its opening; empty if neither names it."""
    if ending.account_id or not ending.opened:
        return ending.account_id
    try:
        return _OPENED.decode(ending.opened).account_id
    except UNREADABLE:
        return ""


@dataclass(frozen=True, slots=True)
class Retelling:
    """Books all that the gate knows about calls, before the gate is refilled."""

    gate: SpendGate
    records: CdrStore
    positions: Positions
    drain: Drain

    async def book_all(
        self, partition: int, partitions: int, on_found: Callable[[Sequence[GateEnding]], None]
    ) -> list[GateEnding]:
        """Book what a partition knows about calls; return what the book still lacks.

        `on_found` is called with ended calls that the book lacks, before they are booked. An open
        call that cannot be booked is returned as if it had ended with what it holds. The partition
        need not be in service: a withdrawn one knows all that it knew.

        Raises StoreUnavailableError; a repeat continues.
        """
        gate = self.gate
        await gate.tell_open(partition)
        # After sending and before draining: each call in it has been sent, and whatever is still
        # missing from the book below cannot be booked.
        snapshot = await gate.snapshot(partition)
        await self.drain()
        book = await self.positions.read(partition, partitions)
        left = await lacking(self.records, _open_untold(snapshot, book))
        page = await gate.endings(partition, 0, count_max=ENDINGS_PER_PAGE)
        while page.endings:
            if found := await lacking(self.records, page.endings):
                on_found(found)
                for ending in found:
                    await tell(gate, ending)
                await self.drain()
                # Looked up once more: what is missing now is left to an operator.
                left += await lacking(self.records, found)
            page = await gate.endings(partition, page.ended_s, count_max=ENDINGS_PER_PAGE)
        return left


def _open_untold(gate: PartitionState, book: PartitionState) -> list[GateEnding]:
    """Return the open calls that are not live in the book; they may have ended there."""
    return [
        GateEnding(call.call_id, call.account_id, call.seconds, call.held_micros)
        for call in repairs(gate, book).unbooked
    ]
