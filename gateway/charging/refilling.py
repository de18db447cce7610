"""Fills partitions of the spend gate that lost their data, or turn out to be an older copy.

An older copy (`billing.lineage`) would let money that is spent be spent again. What it knows of
calls and the book does not is booked first; then it is withdrawn, and filled like a lost one. Live
calls go on. Whoever does this is killed at any point without harm: the proof stays in the book
until the partition is filled. Knows no live call.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from billing.errors import StoreUnavailableError
from billing.lineage import rolled_back
from billing.ports import CdrStore, LedgerStore, Positions, SpendGate
from gateway.charging.recovery import Drain, fill_gate
from gateway.charging.retelling import Retelling

log = logging.getLogger(__name__)


async def older_copies(gate: SpendGate, ledger: LedgerStore, partitions: int) -> list[int]:
    """Return the partitions that are older than what the book has booked of them.

    Those that have lost their data are among them. Raises StoreUnavailableError.
    """
    # In this order: what is booked between the two reads is known to the gate.
    marks = await ledger.marks()
    return rolled_back(marks, await gate.last_told(range(partitions)))


@dataclass(frozen=True, slots=True)
class Refilling:
    """Sees that every partition has all that the book knows."""

    gate: SpendGate
    ledger: LedgerStore
    records: CdrStore
    positions: Positions
    partitions: int
    drain: Drain
    _refused: set[int] = field(default_factory=set)
    """Older copies that know calls which cannot be booked: an operator must decide."""

    async def fill(self) -> int:
        """Fill what must be filled; return how many partitions.

        Raises StoreUnavailableError; a repetition goes on.
        """
        # In this order: what is filled meanwhile, by another node, is not what was found to be old.
        fillings = await self.gate.fillings(range(self.partitions))
        old = await older_copies(self.gate, self.ledger, self.partitions)
        for partition in fillings.keys() & {*old} - self._refused:
            try:
                await self._withdraw(partition, fillings[partition])
            except StoreUnavailableError:
                present = await self.gate.fillings([partition])
                if present.get(partition) == fillings[partition]:
                    raise
        return await fill_gate(self.gate, self.ledger, self.partitions, self.drain)

    async def _withdraw(self, partition: int, filling: str) -> None:
        retelling = Retelling(self.gate, self.records, self.positions, self.drain)
        if await retelling.book_all(partition, self.partitions, lambda _: None):
            self._refused.add(partition)
            log.error(
                "Partition %d of the credit store is an older copy, and knows calls that cannot be"
                " booked; it is left as it is. `caller ledger rebuild` names them.",
                partition,
            )
            return
        if await self.gate.withdraw(partition, filling):
            log.warning(
                "Partition %d of the credit store is an older copy; filling it from the book.",
                partition,
            )
