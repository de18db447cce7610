"""What the book of record says of a partition at this moment: balances, live calls, frozen flags.

The view that the spend gate is compared with; what a gate is filled from is more, and is
`SqlLedgerStore.partition_state`'s. Knows no spend gate.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ports import OpenCall, PartitionState
from billing.stores import tables
from billing.stores.database import TIMEOUT_S, reading
from billing.stores.refill import per_minute_micros


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
    accounts, calls = tables.accounts.c, tables.calls.c
    is_here = accounts.slot % partitions == partition
    account_rows = await connection.execute(
        sa.select(
            accounts.id, accounts.balance_micros, accounts.credit_sequence, accounts.frozen
        ).where(is_here)
    )
    call_rows = await connection.execute(
        sa.select(
            *(calls.id, calls.account_id, calls.node, calls.spent_micros, calls.seconds),
            calls.rate,
        )
        .select_from(tables.calls.join(tables.accounts))
        .where(is_here, ~calls.closed)
    )
    here = account_rows.all()
    return PartitionState(
        accounts=[(row.id, row.balance_micros, row.credit_sequence) for row in here],
        open_calls=[
            OpenCall(
                call_id=row.id,
                account_id=row.account_id,
                node=row.node,
                held_micros=row.spent_micros,
                seconds=row.seconds,
                per_minute_micros=per_minute_micros(row.rate),
            )
            for row in call_rows
        ],
        frozen=[row.id for row in here if row.frozen],
    )
