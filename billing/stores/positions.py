"""Reads what the book of record says about a partition: balances, live calls, frozen flags.

The spend gate is compared with this view. What a gate is filled with is more, see
`SqlLedgerStore.partition_state`. Knows no spend gate.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ports import PartitionState
from billing.stores import tables
from billing.stores.refill import read_open_calls
from database.engine import TIMEOUT_S, reading


class SqlPositions:
    """Reads positions in transactions of its own."""

    def __init__(self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def read(self, partition: int, partitions: int) -> PartitionState:
        """Return a partition's accounts, live calls and frozen flags, all of one moment.

        Raises StoreUnavailableError.
        """
        async with reading(self._engine, self._timeout_s) as connection:
            return await read_positions(connection, partition, partitions)


async def read_positions(
    connection: AsyncConnection, partition: int, partitions: int
) -> PartitionState:
    """Return a partition's accounts, live calls and frozen flags as a transaction sees them."""
    accounts = tables.accounts.c
    is_here = accounts.slot % partitions == partition
    account_rows = await connection.execute(
        sa.select(
            accounts.id, accounts.balance_micros, accounts.credit_sequence, accounts.frozen
        ).where(is_here)
    )
    here = account_rows.all()
    return PartitionState(
        accounts=[(row.id, row.balance_micros, row.credit_sequence) for row in here],
        open_calls=await read_open_calls(connection, is_here),
        frozen=[row.id for row in here if row.frozen],
    )
