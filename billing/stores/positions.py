"""Reads what the book of record says about a partition: balances, live calls, frozen flags.

The spend gate is compared with this view. What a gate is filled with is more, see
`SqlLedgerStore.partition_state`.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.ports import PartitionState
from billing.stores.refill import here, read_positions
from database.engine import TIMEOUT_S, Transactions


class SqlPositions:
    """Reads positions in transactions of its own."""

    def __init__(self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S) -> None:
        self._transactions = Transactions(engine, timeout_s)

    async def read(self, partition: int, partitions: int) -> PartitionState:
        """Return a partition's accounts, live calls and frozen flags, all of one moment.

        Raises StoreUnavailableError.
        """
        at = here(partition, partitions)
        return await self._transactions.read(partial(read_positions, at=at))
