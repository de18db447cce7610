"""Closes the books of whole years in SQL, in bounded batches.

Due accounts are searched for without blocking writers, which only wait while a batch is closed.
Each batch is its own transaction, so a crash leaves nothing half done.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.personal_data import years_before
from billing.clock import Clock
from billing.stores import closed_books
from database.engine import AUDIT_TIMEOUT_S, Transactions, reading_long

BATCH: Final = 100
"""Calls, payments or credits per transaction: larger batches would be no cheaper per row."""
ACCOUNTS_BATCH: Final = 10
"""Accounts per transaction; each takes half a dozen statements."""


class SqlBookClosing:
    """Closes the books of one database. Every method raises StoreUnavailableError."""

    def __init__(
        self, engine: AsyncEngine, books_kept_years: int, clock: Clock, timeout_s: float
    ) -> None:
        self._engine = engine
        self._years = books_kept_years
        self._clock = clock
        self._transactions = Transactions(engine, timeout_s)
        self._after = ""
        """Account after which the next batch begins, so that it skips all those before it."""

    async def due(self) -> int:
        """Return how many entries of the ledger are to be closed; changes nothing."""
        async with reading_long(self._engine, AUDIT_TIMEOUT_S) as connection:
            return await connection.run_sync(closed_books.count_due, self._before())

    async def sweep(self) -> tuple[int, bool]:
        """Close one batch; return how many entries, and whether more may be left."""
        before = self._before()
        async with reading_long(self._engine, AUDIT_TIMEOUT_S) as connection:
            due = await connection.run_sync(
                closed_books.accounts_due, before, after=self._after, limit=ACCOUNTS_BATCH
            )
        if not due:
            self._after = ""
            return 0, False

        def close(connection: sa.Connection) -> tuple[int, str]:
            count, after = 0, self._after
            for account_id in due:
                entries, is_done = closed_books.close_some(
                    connection, account_id, before, limit=BATCH
                )
                count += entries
                if not is_done:
                    break
                after = account_id
                if count >= BATCH:
                    break
            return count, after

        # Only after the commit: what was not committed is done again.
        count, self._after = await self._transactions.run(close)
        return count, True

    def _before(self) -> datetime:
        return years_before(self._clock(), self._years)
