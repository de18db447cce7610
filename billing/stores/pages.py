"""Builds queries that read an account's rows page by page."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def newest_first(
    table: sa.Table, account_id: str, *, limit: int, before: str | None
) -> sa.Select[Any]:
    """Return the query of an account's newest rows, older than its row `before`.

    The query finds nothing if `before` is not a row of this account. New rows shift no page,
    because a page begins after a row and not after a count. The table must have `id`, `account_id`
    and `created_at`.
    """
    # Ids break ties between rows of one moment, which would otherwise be skipped or shown twice.
    position = sa.tuple_(table.c.created_at, table.c.id)
    query = (
        sa.select(table)
        .where(table.c.account_id == account_id)
        .order_by(table.c.created_at.desc(), table.c.id.desc())
        .limit(max(0, limit))
    )
    if before is None:
        return query
    start = sa.select(table.c.created_at, table.c.id).where(
        table.c.id == before, table.c.account_id == account_id
    )
    # A subquery without a row is NULL, and no position is less than NULL.
    return query.where(position < start.scalar_subquery())
