"""Reads from the book of record what a partition of the spend gate is filled with.

Knows no script of the gate and no outbox; what the outbox still holds must be booked before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

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

TOMBSTONE_AGE = timedelta(hours=24)
"""How long a rebuilt spend gate remembers an ended call, to refuse its late duplicates."""
CALL_AGE_MAX = timedelta(hours=24)
"""No call lasts longer; keeps the search for tombstones on the index of `created_at`."""
ROWS_AT_ONCE = 100
"""Calls taken up before the loop goes on: a node that fills has live calls, frames every 20 ms."""

_CALLS_HERE = tables.calls.join(tables.accounts)


async def read_partition(
    connection: AsyncConnection, partition: int, partitions: int, now: datetime
) -> tuple[PartitionState, Sequence[sa.Row[Any]]]:
    """Return what the spend gate must hold for a partition, and the rows of `memories_of`."""
    accounts, calls = tables.accounts.c, tables.calls.c
    is_here = accounts.slot % partitions == partition
    account_rows = await connection.execute(
        sa.select(
            accounts.id, accounts.balance_micros, accounts.credit_sequence, accounts.frozen
        ).where(is_here)
    )
    has_ended = (
        is_here,
        calls.closed,
        calls.created_at >= now - TOMBSTONE_AGE - CALL_AGE_MAX,
        calls.ended_at >= now - TOMBSTONE_AGE,
    )
    ended_rows = await connection.execute(
        # Also of calls that `_calls` leaves out: a tombstone needs only these two, and must be
        # there to refuse late duplicates of the call.
        sa.select(calls.id, calls.spent_micros).select_from(_CALLS_HERE).where(*has_ended)
    )
    here = account_rows.all()
    rows = [
        *await _calls(connection, is_here, ~calls.closed),
        *await _calls(connection, *has_ended),
    ]
    state = PartitionState(
        accounts=[(row.id, row.balance_micros, row.credit_sequence) for row in here],
        open_calls=await read_open_calls(connection, is_here),
        closed_calls=[(call_id, micros) for call_id, micros in ended_rows],
        frozen=[row.id for row in here if row.frozen],
        spent=[spent for kind in BUDGETS for spent in await _spent(connection, kind, is_here, now)],
    )
    return state, rows


async def read_open_calls(
    connection: AsyncConnection, is_here: sa.ColumnElement[bool]
) -> list[OpenCall]:
    """Return the live calls of some accounts, with the spend caps that they began under."""
    calls = tables.calls.c
    columns: Sequence[sa.ColumnElement[Any]] = (
        *(calls.id, calls.node, calls.spent_micros, calls.seconds),
        *(calls.carrier_call_id, calls.rate, calls.created_at),
        *(kind.of_call for kind in HOLDERS.values()),
        *limit_columns(*HOLDERS),
    )
    rows = await connection.execute(
        sa.select(*columns).select_from(calls_with_holders()).where(is_here, ~calls.closed)
    )
    return [_open_call(row) for row in rows.mappings()]


async def _calls(
    connection: AsyncConnection, *conditions: sa.ColumnElement[bool]
) -> Sequence[sa.Row[Any]]:
    """Return calls, leaving out those with a value that cannot be read."""
    # The figures of the legs are never told to a gate (`in_brief`).
    of_legs = {"browser_quality", "carrier_quality"}
    columns = (column for column in tables.calls.c if column.name not in of_legs)
    rows = await connection.execute(
        sa.select(*columns)
        .select_from(_CALLS_HERE)
        .where(*conditions, column_audit.is_readable(connection, tables.calls))
    )
    return rows.all()


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
    )


def _per_minute_micros(rate: str) -> int:
    """Return what a rate burns; 0 for one that cannot be read, since nobody is charged by it."""
    try:
        return Rate.from_json(rate).per_minute_micros
    except RateDeckError:
        return 0


async def _spent(
    connection: AsyncConnection, kind: BudgetKind, is_here: sa.ColumnElement[bool], now: datetime
) -> Sequence[tuple[str, int]]:
    """Return what the calls of each budget of a kind have cost and hold in this period."""
    calls = tables.calls.c
    rows = await connection.execute(
        sa.select(kind.id, sa.func.sum(calls.spent_micros))
        .select_from(kind.calls)
        # A call counts whole in the period it began in. One that reaches over the beginning of a
        # period is counted there by its next tick, not here.
        .where(is_here, kind.limit.is_not(None), calls.created_at >= kind.period.start(now))
        .group_by(kind.id)
    )
    names = ((cap_name(kind.holder_name(of), kind.period, now), int(spent)) for of, spent in rows)
    # The gate keeps no counters of nothing either.
    return [(name, micros) for name, micros in names if micros]
