"""Forgets who was called, from where and how it sounded; what the money needs stays in the row.

A forgotten call keeps what its charge follows from (seconds, price, the key, how it ended), so that
the audit can compute every charge again for as long as the ledger has it. Its times become those
that the ledger shows anyway: the date of the booking, and before it the seconds that were charged.
Functions on the caller's connection; knows no period.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.stores import tables

_CALLS: Final = tables.calls
_BLANK: Final = {
    **dict.fromkeys(("node", "destination", "country", "codec", "origin"), ""),
    **dict.fromkeys(("cause_name", "carrier_call_id"), ""),
    **dict.fromkeys(("browser_quality", "carrier_quality"), "{}"),
    "ringing_at": None,
    "carrier_seconds": None,
}
_FORGET: Final = (
    sa.update(_CALLS)
    .where(_CALLS.c.id == sa.bindparam("of"))
    .values(
        {
            **_BLANK,
            "created_at": sa.bindparam("began"),
            "answered_at": sa.bindparam("answered"),
            "ended_at": sa.bindparam("ended"),
            "forgotten_at": sa.bindparam("now"),
        }
    )
)


def is_due(before: datetime) -> sa.ColumnElement[bool]:
    """Return which calls are to be forgotten: ended ones that began before a time.

    A call that is not closed is not over for the money, however old.
    """
    calls = _CALLS.c
    return sa.and_(calls.forgotten_at.is_(None), calls.created_at < before, calls.closed)


async def forget_older(
    connection: AsyncConnection, before: datetime, *, limit: int, now: datetime
) -> int:
    """Forget calls that began before a time, at most `limit`; return how many.

    Fewer than `limit` mean that none is left.
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
    rows = (await connection.execute(query)).all()
    if rows:
        await connection.execute(_FORGET, _values(rows, now))
    return len(rows)


def _values(rows: Sequence[Any], now: datetime) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        ended = row.booked_at or row.ended_at
        answered = ended - timedelta(seconds=row.seconds)
        found.append(
            {
                "of": row.id,
                "began": answered,
                "answered": answered if row.seconds else None,
                "ended": ended,
                "now": now,
            }
        )
    return found
