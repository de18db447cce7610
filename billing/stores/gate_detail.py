"""What the book of record says of the details of a partition, for the audit of the spend gate.

What a spend cap's counter must be can be told exactly, but for calls that reach over the beginning
of its period, or began before the cap was set: these count in part, so that there is a least and a
most. Caps of periods that are over bind nobody, and are not computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.caps import account_day, account_month, key_day
from billing.ports import PartitionState
from billing.reconcile import BookedDetail, Ending, cap_owner
from billing.stores import tables
from billing.stores.booking import IDS_PER_QUERY
from billing.stores.refill import CALL_AGE_MAX, TOMBSTONE_AGE

REMEMBERED = TOMBSTONE_AGE - timedelta(hours=1)
"""How long ago a call has ended at most of which the gate must know: it keeps tombstones for a day,
and is filled with those of a day. An hour is left for clocks, and for a long audit."""

_OPENING = (
    *("account_id", "node", "destination", "country", "codec", "origin", "currency", "rate"),
    *("created_at", "key_id"),
)
"""What the record of a call's opening says, under the names of the book's columns."""


async def read_detail(
    connection: AsyncConnection,
    gate: PartitionState,
    partition: int,
    partitions: int,
    now: datetime,
) -> BookedDetail:
    """Return what the details of a partition must agree with, as a transaction sees it."""
    is_here = tables.accounts.c.slot % partitions == partition
    calls, accounts, keys = tables.calls.c, tables.accounts.c, tables.api_keys.c
    openings: dict[str, Mapping[str, object]] = {}
    at_gate = (call.call_id for call in gate.open_calls), (call for call, _ in gate.closed_calls)
    for ids in _chunks(chain(*at_gate)):
        opened = await connection.execute(
            sa.select(calls.id, *(calls[name] for name in _OPENING))
            .join_from(tables.calls, tables.accounts)
            .where(calls.id.in_(ids), calls.opened, is_here)
        )
        openings.update(
            {call_id: dict(zip(_OPENING, row, strict=True)) for call_id, *row in opened}
        )
    endings: dict[str, Ending] = {}
    for ids in _chunks(call_id for call_id, _ in gate.closed_calls):
        endings |= await _endings(connection, calls.id.in_(ids), is_here)
    recent = await _endings(
        connection,
        calls.ended_at >= now - REMEMBERED,
        calls.created_at >= now - REMEMBERED - CALL_AGE_MAX,
        is_here,
    )
    caps = {
        **await _account_caps(connection, is_here, now),
        **await _key_caps(connection, is_here, now),
    }
    owners = {cap_owner(name) for name in [*dict(gate.spent), *caps]}
    known: dict[str, str] = {}
    of_key = sa.select(keys.id, keys.account_id).join_from(tables.api_keys, tables.accounts)
    for kind, query, column in (
        ("account:", sa.select(accounts.id, accounts.id.label("account_id")), accounts.id),
        ("key:", of_key, keys.id),
    ):
        named = (name.removeprefix(kind) for name in owners if name.startswith(kind))
        for ids in _chunks(named):
            found = await connection.execute(query.where(column.in_(ids), is_here))
            known |= {kind + name: account_id for name, account_id in found}
    return BookedDetail(openings, endings, caps, known, recent)


async def _endings(
    connection: AsyncConnection, *conditions: sa.ColumnElement[bool]
) -> dict[str, Ending]:
    calls = tables.calls.c
    rows = await connection.execute(
        sa.select(
            *(calls.id, calls.spent_micros, calls.written_off_micros, calls.seconds),
            *(calls.account_id, calls.cause, calls.ended_by),
            *(calls.answered_at, calls.ended_at),
        )
        .join_from(tables.calls, tables.accounts)
        .where(calls.closed, *conditions)
    )
    return {call_id: Ending(*ending) for call_id, *ending in rows}


async def _account_caps(
    connection: AsyncConnection, is_here: sa.ColumnElement[bool], now: datetime
) -> dict[str, tuple[int, int]]:
    accounts = tables.accounts.c
    day, month = _day_of(now), _day_of(now).replace(day=1)
    rows = await connection.execute(
        sa.select(
            *(accounts.id, accounts.day_cap_micros, accounts.month_cap_micros),
            *_bounds(day, accounts.caps_counted_from, "day"),
            *_bounds(month, accounts.caps_counted_from, "month"),
        )
        .select_from(tables.calls.join(tables.accounts))
        # By account, so that the index of its calls is used: few accounts have caps.
        .where(
            tables.calls.c.account_id.in_(
                sa.select(accounts.id).where(
                    is_here,
                    accounts.day_cap_micros.is_not(None) | accounts.month_cap_micros.is_not(None),
                )
            ),
            tables.calls.c.created_at >= month - CALL_AGE_MAX,
        )
        .group_by(accounts.id)
    )
    caps: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row.day_cap_micros is not None:
            caps[account_day(row.id, now)] = int(row.day_least), int(row.day_most)
        if row.month_cap_micros is not None:
            caps[account_month(row.id, now)] = int(row.month_least), int(row.month_most)
    return caps


async def _key_caps(
    connection: AsyncConnection, is_here: sa.ColumnElement[bool], now: datetime
) -> dict[str, tuple[int, int]]:
    keys, calls, day = tables.api_keys.c, tables.calls.c, _day_of(now)
    rows = await connection.execute(
        sa.select(keys.id, *_bounds(day, keys.caps_counted_from, "day"))
        .select_from(tables.calls.join(tables.api_keys, keys.id == calls.key_id))
        .where(
            calls.account_id.in_(
                sa.select(keys.account_id)
                .join_from(tables.api_keys, tables.accounts)
                .where(is_here, keys.day_cap_micros.is_not(None))
            ),
            keys.day_cap_micros.is_not(None),
            calls.created_at >= day - CALL_AGE_MAX,
        )
        .group_by(keys.id)
    )
    return {key_day(row.id, now): (int(row.day_least), int(row.day_most)) for row in rows}


def _bounds(
    start: datetime, counted_from: sa.ColumnElement[datetime], name: str
) -> Iterator[sa.ColumnElement[int]]:
    """Yield the least and the most that calls have cost in a period that began at `start`."""
    calls = tables.calls.c
    is_within = calls.created_at >= start
    is_counted = counted_from.is_(None) | (calls.created_at >= counted_from)
    reaches_in = is_within | ~calls.closed | (calls.ended_at >= start)
    for of, label in ((is_within & is_counted, "least"), (reaches_in, "most")):
        counted = sa.case((of, calls.spent_micros), else_=0)
        yield sa.func.sum(counted).label(f"{name}_{label}")


def _day_of(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _chunks(ids: Iterable[str]) -> Iterator[Collection[str]]:
    iterator = iter(ids)
    while chunk := list(islice(iterator, IDS_PER_QUERY)):
        yield chunk
