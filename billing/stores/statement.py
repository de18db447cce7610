"""Reads statements of account from the SQL ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import CUSTOMER, Transfer
from billing.statement import CallLine, StatementLine, carried_forward, lines
from billing.stores import tables
from billing.stores.closed_books import SUMS
from database.engine import TIMEOUT_S, reading

PAGE_LINES_MAX = 500

_OF_CALL = ("charge", "write-off", "credit:call")
"""What the references of a call's transfers begin with."""


class SqlStatementStore:
    """`StatementStore` in SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None
    ) -> Sequence[StatementLine]:
        """Return the newest lines first, older than the line of reference `before`.

        At most `PAGE_LINES_MAX`; none when `before` is no line of this account. New lines shift
        no page, because a page begins after a line and not after a count. The last line of all is
        what was carried forward from books that are closed. Raises StoreUnavailableError.
        """
        transfers = tables.transfers.c
        is_mine = sa.and_(
            transfers.account_id == account_id,
            sa.or_(transfers.source == CUSTOMER, transfers.target == CUSTOMER),
        )
        # References break ties between lines of one moment.
        position = sa.tuple_(transfers.at, transfers.reference)
        query = sa.select(tables.transfers).where(is_mine)
        start = sa.select(transfers.at, transfers.reference).where(
            is_mine, transfers.reference == before
        )
        if before is not None:
            query = query.where(position < start.scalar_subquery())
        newest_first = query.order_by(transfers.at.desc(), transfers.reference.desc())
        signed = sa.case((transfers.target == CUSTOMER, transfers.micros), else_=-transfers.micros)
        count_max = max(0, min(limit, PAGE_LINES_MAX))
        async with reading(self._engine, self._timeout_s) as connection:
            if before is not None and await connection.scalar(start) is None:
                return []
            rows = (await connection.execute(newest_first.limit(count_max))).all()
            carried = await _carried_forward(connection, account_id)
            # The sum of these lines and of all older ones is the balance after the newest of them.
            balance = await connection.scalar(
                query.with_only_columns(sa.func.sum(signed), maintain_column_froms=True)
            )
            forgotten = await _forgotten(connection, {row.call_id for row in rows if row.call_id})
        transfers_at = ((_transfer(row), row.at) for row in rows)
        left = carried.balance_micros if carried is not None else 0
        found = list(lines(transfers_at, int(balance or 0) + left, forgotten))
        return [*found, carried] if carried is not None and len(found) < count_max else found

    async def of_call(self, account_id: str, call_id: str) -> Sequence[CallLine]:
        """Return what was booked of a call of this account, the oldest first.

        Raises StoreUnavailableError.
        """
        transfers = tables.transfers.c
        query = (
            sa.select(tables.transfers)
            # By reference, which is unique: an account's transfers of years are not looked through.
            .where(
                transfers.reference.in_([f"{name}:{call_id}" for name in _OF_CALL]),
                transfers.account_id == account_id,
            )
            .order_by(transfers.at, transfers.reference)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            rows = await connection.execute(query)
            return [
                CallLine(row.at, row.kind, row.reason, row.micros, row.currency) for row in rows
            ]


async def _carried_forward(connection: AsyncConnection, account_id: str) -> StatementLine | None:
    """Return the line that an account's statement begins with; None without closed books."""
    closed = tables.closed_books.c
    query = (
        sa.select(closed.until, closed.customer_micros, tables.accounts.c.currency)
        .join_from(tables.closed_books, tables.accounts)
        .where(closed.account_id == account_id, sa.or_(*(micros != 0 for micros in SUMS)))
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return carried_forward(row.until, row.customer_micros, row.currency)


async def _forgotten(connection: AsyncConnection, call_ids: Collection[str]) -> Collection[str]:
    """Return which of these calls are kept no more; of none a look is spared."""
    if not call_ids:
        return ()
    calls = tables.calls.c
    kept = sa.select(calls.id).where(calls.id.in_(call_ids), calls.forgotten_at.is_(None))
    return set(call_ids) - set((await connection.scalars(kept)).all())


def _transfer(row: sa.Row[Any]) -> Transfer:
    return Transfer(
        reference=row.reference,
        kind=row.kind,
        source=row.source,
        target=row.target,
        micros=row.micros,
        account_id=row.account_id,
        currency=row.currency,
        call_id=row.call_id,
        reason=row.reason,
    )
