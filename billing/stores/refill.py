"""Reads from the book of record what a partition of the spend gate must hold.

Used to fill a partition and to compare it with the book. Before a partition is filled, what its
outbox still holds must be booked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.cdr import in_brief
from billing.errors import RateDeckError
from billing.outbox import is_tellable
from billing.ports import CallMemory, OpenCall, PartitionState
from billing.rating import Rate
from billing.spend_limits import cap_name
from billing.stores import column_audit, tables
from billing.stores.budgets import (
    BUDGETS,
    HOLDERS,
    BudgetKind,
    calls_with_holders,
    limit_columns,
    limits_of,
)
from billing.stores.call_rows import closed_in, opened_in
from database.engine import TIMEOUT_S, Transactions

TOMBSTONE_AGE = timedelta(hours=24)
"""How long a rebuilt spend gate remembers an ended call, to refuse its late duplicates."""
CALL_AGE_MAX = timedelta(hours=24)
"""No call lasts longer; keeps the search for tombstones on the index of `created_at`."""
ROWS_AT_ONCE = 100
"""Calls taken up before the loop goes on: a node that fills has live calls, frames every 20 ms."""

# All statements are made once: to make one costs more than to run it.
IS_HERE = tables.accounts.c.slot % sa.bindparam("partitions") == sa.bindparam("partition")
"""Whether an account is in the partition of `here`."""
_HAS_ENDED = (
    IS_HERE,
    tables.calls.c.closed,
    tables.calls.c.created_at >= sa.bindparam("created_from"),
    tables.calls.c.ended_at >= sa.bindparam("ended_from"),
)
_CALLS_HERE = tables.calls.join(tables.accounts)
_ACCOUNTS = sa.select(
    tables.accounts.c.id,
    tables.accounts.c.balance_micros,
    tables.accounts.c.credit_sequence,
    tables.accounts.c.frozen,
).where(IS_HERE)
# Also of calls that `_calls` leaves out: a tombstone needs only these two, and must be there to
# refuse late duplicates of the call.
_TOMBSTONES = (
    sa.select(tables.calls.c.id, tables.calls.c.spent_micros)
    .select_from(_CALLS_HERE)
    .where(*_HAS_ENDED)
)
_OPEN_CALLS = (
    sa.select(
        tables.calls.c.id,
        tables.calls.c.node,
        tables.calls.c.spent_micros,
        tables.calls.c.seconds,
        tables.calls.c.carrier_call_id,
        tables.calls.c.rate,
        tables.calls.c.created_at,
        *(kind.of_call for kind in HOLDERS.values()),
        *limit_columns(*HOLDERS),
    )
    .select_from(calls_with_holders())
    .where(IS_HERE, ~tables.calls.c.closed)
)
_SPENT = [
    (
        kind,
        sa.select(kind.id, sa.func.sum(tables.calls.c.spent_micros))
        .select_from(kind.calls)
        # A call counts whole in the period it began in. One that reaches over the beginning of a
        # period is counted there by its next tick, not here.
        .where(IS_HERE, kind.limit.is_not(None), tables.calls.c.created_at >= sa.bindparam("start"))
        .group_by(kind.id),
    )
    for kind in BUDGETS
]

Here = Mapping[str, int]


def here(partition: int, partitions: int) -> Here:
    """Return the parameters of `IS_HERE`."""
    return {"partition": partition, "partitions": partitions}


def read_partition(
    connection: sa.Connection, partition: int, partitions: int, now: datetime
) -> tuple[PartitionState, Sequence[sa.Row[Any]]]:
    """Return what the spend gate must hold for a partition, and the rows of `memories_of`."""
    at = here(partition, partitions)
    since = {
        "created_from": now - TOMBSTONE_AGE - CALL_AGE_MAX,
        "ended_from": now - TOMBSTONE_AGE,
    }
    tombstones = connection.execute(_TOMBSTONES, {**at, **since}).all()
    open_calls, ended_calls = _calls(connection.dialect.name)
    rows = [
        *connection.execute(open_calls, at),
        *connection.execute(ended_calls, {**at, **since}),
    ]
    spent = [
        total
        for kind, query in _SPENT
        for total in _totals(
            connection.execute(query, {**at, "start": kind.period.start(now)}), kind, now
        )
    ]
    return replace(
        read_positions(connection, at),
        closed_calls=[(call_id, micros) for call_id, micros in tombstones],
        spent=spent,
    ), rows


def read_positions(connection: sa.Connection, at: Here) -> PartitionState:
    """Return a partition's accounts, live calls and frozen flags as a transaction sees them.

    Live calls come with the spend caps that they began under.
    """
    rows = connection.execute(_ACCOUNTS, at).all()
    open_calls = connection.execute(_OPEN_CALLS, at).mappings()
    return PartitionState(
        accounts=[(row.id, row.balance_micros, row.credit_sequence) for row in rows],
        open_calls=[_open_call(call) for call in open_calls],
        frozen=[row.id for row in rows if row.frozen],
    )


@cache
def _calls(dialect: str) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return the queries of live and of ended calls, without those that cannot be read."""
    # The figures of the legs are never told to a gate (`in_brief`).
    of_legs = {"browser_quality", "carrier_quality"}
    columns = (column for column in tables.calls.c if column.name not in of_legs)
    readable = (
        sa.select(*columns)
        .select_from(_CALLS_HERE)
        .where(column_audit.is_readable(dialect, tables.calls))
    )
    return readable.where(IS_HERE, ~tables.calls.c.closed), readable.where(*_HAS_ENDED)


async def memories_of(rows: Sequence[sa.Row[Any]]) -> list[CallMemory]:
    """Return what the book knows about calls; needs no transaction, so none has to stay open."""
    found: list[CallMemory] = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        # A memory that the book would reject when told of it again is of no use.
        some = map(_memory, rows[start : start + ROWS_AT_ONCE])
        found += filter(is_tellable, some)
        await asyncio.sleep(0)
    return found


def _memory(row: sa.Row[Any]) -> CallMemory:
    opened = msgspec.json.encode(opened_in(row)) if row.opened else b""
    if not row.closed:
        return CallMemory(row.id, row.account_id, opened)
    return CallMemory(
        row.id,
        row.account_id,
        opened,
        in_brief(msgspec.json.encode(closed_in(row))),
        row.spent_micros,
        row.written_off_micros,
        row.seconds,
        # By the book's clock; the gate corrects it where that is far off its own (`remember.lua`).
        int(row.ended_at.timestamp()),
    )


def _open_call(row: sa.RowMapping) -> OpenCall:
    holder_ids = {kind.holder: row[kind.of_call.name] for kind in HOLDERS.values()}
    return OpenCall(
        call_id=row["id"],
        account_id=row["account_id"],
        node=row["node"],
        held_micros=row["spent_micros"],
        seconds=row["seconds"],
        carrier_call_id=row["carrier_call_id"],
        per_minute_micros=_per_minute_micros(row["rate"]),
        # A call counts in the period it began in, until its next tick names another.
        cap_names=tuple(cap.name for cap in limits_of(row, **holder_ids).caps(row["created_at"])),
        key_id=row["key_id"],
    )


def _per_minute_micros(rate: str) -> int:
    """Return what a rate burns; 0 for one that cannot be read, since nobody is charged by it."""
    try:
        return Rate.from_json(rate).per_minute_micros
    except RateDeckError:
        return 0


def _totals(
    rows: Iterable[sa.Row[str, int]], kind: BudgetKind, now: datetime
) -> Iterator[tuple[str, int]]:
    """Yield what the calls of each budget of a kind have cost and hold in this period."""
    for of, spent in rows:
        # The gate keeps no counters of nothing either.
        if micros := int(spent):
            yield cap_name(kind.holder_name(of), kind.period, now), micros


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
