"""Fills partitions of the spend gate that lost their data or turn out to be an older copy.

An older copy (`billing.lineage`) would let money be spent twice. What it knows about calls and the
book does not is booked first; then it is withdrawn, and filled like a lost one. Live calls go on.
This may be interrupted at any point without harm: the proof stays in the book until the partition
is filled. Knows no live call.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from billing.errors import StoreUnavailableError
from billing.lineage import rolled_back
from billing.ports import CdrStore, LedgerStore, Positions, SpendGate
from gateway.charging.recovery import Drain, fill_gate
from gateway.charging.retelling import Retelling

log = structlog.get_logger(__name__)

_UNBOOKABLE_HINT = "It knows calls that cannot be booked; `caller ledger rebuild` names them."


async def older_copies(gate: SpendGate, ledger: LedgerStore, partitions: int) -> list[int]:
    """Return the partitions that are older than what the book has booked of them.

    Those that have lost their data are among them. Raises StoreUnavailableError.
    """
    # In this order: the other way round, entries told and booked between the two reads would make
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
    """Older copies that know calls which cannot be booked: an operator must decide."""

    async def fill(self) -> int:
        """Fill what must be filled; return how many partitions that was.

        Raises StoreUnavailableError; a repetition continues.
        """
        # In this order: a partition that another node fills meanwhile has another filling than the
        # one noted here, and is not withdrawn.
        fillings = await self.gate.fillings(range(self.partitions))
        old = await older_copies(self.gate, self.ledger, self.partitions)
        for partition in fillings.keys() & {*old} - self._refused:
            try:
                await self._withdraw(partition, fillings[partition])
            except StoreUnavailableError:
                # Another node may have withdrawn the partition, which then refuses everything.
                present = await self.gate.fillings([partition])
                if present.get(partition) == fillings[partition]:
                    raise
        return await fill_gate(self.gate, self.ledger, self.partitions, self.drain)

    async def _withdraw(self, partition: int, filling: str) -> None:
        retelling = Retelling(self.gate, self.records, self.positions, self.drain)
        if await retelling.book_all(partition, self.partitions, lambda _: None):
            # A filling would delete the only trace of these calls. Logged once by each process.
            self._refused.add(partition)
            log.error("older copy not refilled", partition=partition, hint=_UNBOOKABLE_HINT)
            return
        if await self.gate.withdraw(partition, filling):
            log.warning("older copy withdrawn, to be refilled", partition=partition)
