"""Fills partitions of the spend gate that lost their data or turn out to be an older copy.

An older copy (`billing.lineage`) would let money be spent twice. Calls that it knows and the book
does not are booked first; then it is withdrawn, and filled like a lost one. Live calls continue.
This may be interrupted at any point without harm: the proof stays in the book until the partition
is filled.

A withdrawn partition still has all its data, and the book may have become an older copy since. So
what it knows is booked first as well; if it holds more than that, it is put back into service as it
was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from billing.lineage import rolled_back
from billing.ports import CdrStore, LedgerStore, Positions, SpendGate
from billing.reconcile import surpluses
from gateway.charging.recovery import Drain, fill_gate
from gateway.charging.retelling import Retelling

log = structlog.get_logger(__name__)

_HINT = "It holds what the book lacks; `caller ledger rebuild` says what and what to do."


async def older_copies(gate: SpendGate, ledger: LedgerStore, partitions: int) -> list[int]:
    """Return the partitions that are older than what the book has booked of them.

    Those that have lost their data are among them. Raises StoreUnavailableError.
    """
    # In this order: the other way round, entries sent and booked between the two reads would make
    # the gate look older than the book.
    marks = await ledger.marks()
    return rolled_back(marks, await gate.last_told(range(partitions)))


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
        retelling = Retelling(self.gate, self.records, self.positions, self.drain)
        left = await retelling.book_all(partition, self.partitions, lambda _: None)
        # The gate first: what is booked in between is in the book, and is no surplus.
        state = await self.gate.snapshot(partition)
        found = surpluses(state, await self.positions.read(partition, self.partitions))
        return [
            *(one.call_id for one in left),
            # If an older copy has more of something, at no more credits, that was spent since the
            # copy.
            *(one.account_id for one in found if one.credits or not is_old),
        ]
