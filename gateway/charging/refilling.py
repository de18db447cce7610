"""Fills partitions of the spend gate that lost their data or turn out to be an older copy.

An older copy (`billing.lineage`) would let money be spent twice. Calls that it knows and the book
does not are booked first; then it is withdrawn, and filled like a lost one. Live calls continue.
This may be interrupted at any point without harm: the proof stays in the book until the partition
is filled.

A withdrawn partition still has all its data, and the book may have become an older copy since. So
what it knows is booked first as well; if it holds more than that, it is put back into service as it
was.

Calls that the book lacks are sent to it again. They have lost their outbox entries, or the book was
restored from a copy that is older than the call. The gate remembers an ended call for a day
(`billing.ports.GateEnding`). What is sent is state, not a change, so any process may send it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from billing.cdr import CallOpened
from billing.lineage import rolled_back
from billing.ports import CdrStore, GateEnding, LedgerStore, PartitionState, Positions, SpendGate
from billing.reconcile import repairs, surpluses
from gateway.charging.recovery import Drain, fill_gate
from gateway.unreadable import UNREADABLE

ENDINGS_PER_PAGE = 500
"""Endings read and looked up at once."""

_HINT = "It holds what the book lacks; `caller ledger rebuild` says what and what to do."
_OPENED = msgspec.json.Decoder(CallOpened)


async def unbooked_endings(records: CdrStore, endings: Sequence[GateEnding]) -> list[GateEnding]:
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


async def resend(gate: SpendGate, ending: GateEnding) -> bool:
    """Put an ending into the outbox, unless it is there or the gate knows too little of it.

    Returns whether it was put there. Raises StoreUnavailableError.
    """
    # After a filling from a book that knew no more, the gate has a tombstone and no account.
    if not ending.account_id:
        return False
    return await gate.resend_ending(ending.call_id, ending.account_id, ending.opened)


def account_of(ending: GateEnding) -> str:
    """Return a call's account by its end, else by its opening; empty if neither names it."""
    if ending.account_id or not ending.opened:
        return ending.account_id
    try:
        return _OPENED.decode(ending.opened).account_id
    except UNREADABLE:
        return ""


@dataclass(frozen=True, slots=True)
class CallResend:
    """Sends the book all that the gate knows about calls, before the gate is refilled."""

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
        await gate.resend_open(partition)
        # After sending and before draining: each call in it has been sent, and whatever is still
        # missing from the book below cannot be booked.
        snapshot = await gate.snapshot(partition)
        await self.drain()
        book = await self.positions.read(partition, partitions)
        left = await unbooked_endings(self.records, _open_unbooked(snapshot, book))
        page = await gate.endings(partition, 0, count_max=ENDINGS_PER_PAGE)
        while page.endings:
            if found := await unbooked_endings(self.records, page.endings):
                on_found(found)
                for ending in found:
                    await resend(gate, ending)
                await self.drain()
                # Looked up once more: what is missing now is left to an operator.
                left += await unbooked_endings(self.records, found)
            page = await gate.endings(partition, page.ended_s, count_max=ENDINGS_PER_PAGE)
        return left


def _open_unbooked(gate: PartitionState, book: PartitionState) -> list[GateEnding]:
    """Return the open calls that are not live in the book; they may have ended there."""
    return [
        GateEnding(call.call_id, call.account_id, call.seconds, call.held_micros)
        for call in repairs(gate, book).unbooked
    ]


log = structlog.get_logger(__name__)


async def older_copies(gate: SpendGate, ledger: LedgerStore, partitions: int) -> list[int]:
    """Return the partitions that are older than what the book has booked of them.

    Those that have lost their data are among them. Raises StoreUnavailableError.
    """
    # In this order: the other way round, entries sent and booked between the two reads would make
    # the gate look older than the book.
    marks = await ledger.marks()
    return rolled_back(marks, await gate.last_entry_ids(range(partitions)))


@dataclass(frozen=True, slots=True)
class Refilling:
    """Makes sure that every partition has all that the book knows."""

    gate: SpendGate
    ledger: LedgerStore
    records: CdrStore
    positions: Positions
    partitions: int
    drain: Drain
    _refused: set[int] = field(default_factory=set)
    """Older copies that hold what the book lacks: an operator must decide."""

    async def fill(self) -> int:
        """Fill what must be filled; return how many partitions that was.

        Raises StoreUnavailableError; a repeat continues.
        """
        # In this order: a partition that another node fills meanwhile has another filling than the
        # one noted here, and is not withdrawn.
        fillings = await self.gate.fillings(range(self.partitions))
        old = await older_copies(self.gate, self.ledger, self.partitions)
        for partition in range(self.partitions):
            if partition not in fillings:
                await self._look_into(partition, is_old=partition in old)
            elif partition in old and partition not in self._refused:
                await self._withdraw(partition, fillings[partition])
        return await fill_gate(self.gate, self.ledger, self.partitions, self.drain)

    async def _withdraw(self, partition: int, filling: str) -> None:
        """Withdraw an older copy, unless a filling would delete the only trace of something."""
        if beyond := await self._beyond_book(partition, is_old=True):
            # Logged once by each process.
            self._refused.add(partition)
            log.error("older copy not refilled", partition=partition, beyond=beyond, hint=_HINT)
        elif await self.gate.withdraw(partition, filling):
            log.warning("older copy withdrawn, to be refilled", partition=partition)

    async def _look_into(self, partition: int, *, is_old: bool) -> None:
        """Book what is left in a partition that is not in service; put it back if necessary."""
        if not await self._holds_anything(partition):
            return
        if beyond := await self._beyond_book(partition, is_old=is_old):
            if is_old:
                self._refused.add(partition)
            # A lost partition cannot continue with what a dead filling has noted in it: that is
            # named here, and the partition is filled.
            is_back = await self.gate.put_back(partition)
            event = (
                "withdrawn partition put back" if is_back else "rows of a lost partition unbooked"
            )
            hint = {"hint": _HINT} if is_back else {}
            log.error(event, partition=partition, beyond=beyond, **hint)

    async def _holds_anything(self, partition: int) -> bool:
        state = await self.gate.snapshot(partition)
        if state.accounts or state.open_calls:
            return True
        return bool((await self.gate.endings(partition, 0, count_max=1)).endings)

    async def _beyond_book(self, partition: int, *, is_old: bool) -> Sequence[str]:
        """Book what a partition knows of calls; return calls and accounts it has beyond that."""
        resending = CallResend(self.gate, self.records, self.positions, self.drain)
        left = await resending.book_all(partition, self.partitions, lambda _: None)
        # The gate first: what is booked in between is in the book, and is no surplus.
        state = await self.gate.snapshot(partition)
        found = surpluses(state, await self.positions.read(partition, self.partitions))
        return [
            *(one.call_id for one in left),
            # If an older copy has more of something, at no more credits, that was spent since the
            # copy.
            *(one.account_id for one in found if one.credits or not is_old),
        ]
