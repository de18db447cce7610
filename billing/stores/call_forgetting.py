"""Forgets calls in the book of record, and marks them: those of one account, or old ones.

What remains of a call (`billing.cdr`) lets the audit compute its charge for as long as the ledger
has it. A row with `forgotten_at` appears in no list, file or export, and is not forgotten again.
Functions on the caller's connection; those that write are synchronous, so that SQLite forgets a
batch in one visit to its thread. The caller decides the period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cdr import BLANKS, TimesLeft, memory_left, times_left
from billing.stores import tables
from billing.stores.call_rows import closed_in, opened_in
from billing.stores.freezes import is_used

ACCOUNT_BATCH: Final = 200
"""Calls of an account in one transaction: another writer must not wait for long."""

_CALLS: Final = tables.calls
# A call that is not closed is not over for the money, however old.
_IS_WHOLE: Final = sa.and_(_CALLS.c.closed, _CALLS.c.forgotten_at.is_(None))
_TIMES: Final = ("created_at", "answered_at", "ended_at")
_FORGET: Final = (
    sa.update(_CALLS)
    .where(_CALLS.c.id == sa.bindparam("of"), _CALLS.c.forgotten_at.is_(None))
    .values(
        {
            **BLANKS,
            **{name: sa.bindparam(f"left_{name}") for name in _TIMES},
            "forgotten_at": sa.bindparam("now"),
        }
    )
)


def is_due(before: datetime) -> sa.ColumnElement[bool]:
    """Return which calls are to be forgotten: ended ones that began before a time.

    Not those of a person who wants their data kept: a restriction leaves nothing but keeping.
    """
    return sa.and_(_IS_WHOLE, _CALLS.c.created_at < before, is_used(_CALLS.c.account_id))


def forget_older(connection: sa.Connection, before: datetime, *, limit: int, now: datetime) -> int:
    """Forget calls that began before a time, at most `limit`; return how many.

    Fewer than `limit` mean that none is left. No spend gate remembers calls as old as these.
    """
    calls = _CALLS.c
    query = (
        sa.select(calls.id, calls.booked_at, calls.ended_at, calls.seconds)
        .where(is_due(before))
        .order_by(calls.created_at)
        .limit(limit)
        # Whoever holds a row changes it; it is found again by the next batch.
        .with_for_update(skip_locked=True)
    )
    rows = (connection.execute(query)).all()
    forget(connection, rows, now)
    return len(rows)


async def whole_of(connection: AsyncConnection, account_id: str) -> Sequence[sa.Row[Any]]:
    """Return ended calls of an account that are not forgotten, at most `ACCOUNT_BATCH`."""
    rows = await connection.execute(
        sa.select(_CALLS)
        .where(_CALLS.c.account_id == account_id, _IS_WHOLE)
        .order_by(_CALLS.c.created_at, _CALLS.c.id)
        .limit(ACCOUNT_BATCH)
    )
    return rows.all()


def forget(
    connection: sa.Connection, rows: Sequence[sa.Row[*tuple[Any, ...]]], now: datetime
) -> None:
    """Forget ended calls, given their rows; those that are forgotten stay as they are."""
    values = [
        {
            "of": row.id,
            "now": now,
            **{f"left_{name}": at for name, at in asdict(_times_of(row)).items()},
        }
        for row in rows
    ]
    if values:
        connection.execute(_FORGET, values)


def memory_of(row: sa.Row[Any]) -> tuple[bytes, bytes]:
    """Return what a spend gate is to remember of a call that is about to be forgotten."""
    return memory_left(opened_in(row), closed_in(row), _times_of(row))


def _times_of(row: sa.Row[*tuple[Any, ...]]) -> TimesLeft:
    return times_left(row.ended_at, row.booked_at, row.seconds)
