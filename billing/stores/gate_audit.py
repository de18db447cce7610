"""Audits the spend gate: whether it holds what the book of record says it must.

Exact while calls are charged: what waits in the outbox counts as booked. It reports and never
repairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.errors import StoreUnavailableError
from billing.outbox import fold
from billing.partition import PARTITIONS
from billing.ports import OutboxEntry, PartitionState, SpendGate
from billing.reconcile import Disagreement, Surplus, disagreements, surpluses
from billing.stores import tables
from billing.stores.audit import FINDINGS_MAX
from billing.stores.booking import book
from billing.stores.database import TIMEOUT_S, upsert, writing
from billing.stores.positions import read_positions
from billing.stores.sql import Clock, utc_now

ENTRIES_MAX = 5_000
"""Entries of one outbox that a comparison takes in; a longer one must be drained first."""
SNAPSHOTS_MAX = 20
"""Attempts at reading a partition between two of its changes."""
COMPARISONS_MAX = 3
"""A point is a finding when so many comparisons in a row have found it."""
COMPARISON_PAUSE_S = 1.1
"""Longer than a round of the meter, and than a credit is on its way from the book to the gate."""
INCOMPARABLE = "outbox is too long or too busy to compare"


async def audit_gate(
    gate: SpendGate,
    engine: AsyncEngine,
    partitions: int = PARTITIONS,
    *,
    timeout_s: float = TIMEOUT_S,
    clock: Clock = utc_now,
) -> list[str]:
    """Return one line per point on which the spend gate and the book differ.

    Lines name account ids and call ids. Raises StoreUnavailableError.
    """
    comparison = _Comparison(gate, engine, partitions, timeout_s, clock)
    findings: list[str] = []
    for partition in range(partitions):
        found = await comparison.of(partition)
        for _ in range(COMPARISONS_MAX - 1):
            if not found:
                break
            await asyncio.sleep(COMPARISON_PAUSE_S)
            again = await comparison.of(partition)
            found = [point for point in found if point in again]
        findings += [f"{point.rule}: {point.subject}" for point in found[:FINDINGS_MAX]]
    return findings


async def find_surpluses(
    gate: SpendGate,
    engine: AsyncEngine,
    chosen: Iterable[int],
    partitions: int = PARTITIONS,
    *,
    timeout_s: float = TIMEOUT_S,
    clock: Clock = utc_now,
) -> list[Surplus]:
    """Return what filling the chosen partitions from the book would take from accounts.

    A partition that has lost its data has nothing to lose. Raises StoreUnavailableError, also where
    an outbox is too long or too busy to compare.
    """
    comparison = _Comparison(gate, engine, partitions, timeout_s, clock)
    found: list[Surplus] = []
    for partition in chosen:
        if await gate.is_ready(partition):
            sides = await comparison.sides(partition)
            if sides is None:
                raise StoreUnavailableError(INCOMPARABLE)
            found += surpluses(*sides)
    return found


@dataclass(frozen=True, slots=True)
class _Comparison:
    gate: SpendGate
    engine: AsyncEngine
    partitions: int
    timeout_s: float
    clock: Clock

    async def of(self, partition: int) -> Sequence[Disagreement]:
        """Compare a partition with its book."""
        sides = await self.sides(partition)
        if sides is None:
            return [Disagreement(INCOMPARABLE, f"partition {partition}")]
        return list(disagreements(*sides))

    async def sides(self, partition: int) -> tuple[PartitionState, PartitionState] | None:
        """Return a partition and what its book will say once the outbox is drained.

        None where the outbox is too long or too busy. The booking is tried out in a transaction
        that is rolled back. It holds the lock of those who drain, so that the book does not move
        meanwhile.
        """
        async with writing(self.engine, self.timeout_s) as connection:
            await self._lock(connection, partition)
            found = await self._read_between_changes(partition)
            if found is None:
                await connection.rollback()
                return None
            snapshot, entries = found
            await book(connection, fold(entries), self.clock())
            positions = await read_positions(connection, partition, self.partitions)
            await connection.rollback()
        return snapshot, positions

    async def _lock(self, connection: AsyncConnection, partition: int) -> None:
        """Make all who drain this partition wait until the transaction ends."""
        await connection.execute(
            upsert(connection, tables.partitions)
            .values(partition=partition, drained_count=0, drained_at=self.clock())
            .on_conflict_do_update(
                index_elements=["partition"],
                set_={"drained_count": tables.partitions.c.drained_count},
            )
        )

    async def _read_between_changes(
        self, partition: int
    ) -> tuple[PartitionState, Sequence[OutboxEntry]] | None:
        """Return a snapshot and all that waited in the outbox at its moment."""
        entries = await self.gate.read_outbox(partition, ENTRIES_MAX + 1)
        for _ in range(SNAPSHOTS_MAX):
            snapshot = await self.gate.snapshot(partition)
            before, entries = entries, await self.gate.read_outbox(partition, ENTRIES_MAX + 1)
            if len(entries) > ENTRIES_MAX:
                return None
            # Nothing was added meanwhile. What was trimmed meanwhile is in the book already.
            if not entries or (before and before[-1].entry_id == entries[-1].entry_id):
                return snapshot, before
        return None
