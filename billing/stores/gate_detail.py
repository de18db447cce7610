"""Reads from the book of record the details of a partition, for the audit of the spend gate.

The counter of a spend cap can be computed exactly, except for calls that reach over the beginning
of its period, or began before the cap was set: these count in part, so there is a lower and an
upper bound. Caps of periods that are over bind nobody and are not computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain, islice

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ports import PartitionState
from billing.reconcile import BookedDetail, Ending, cap_owner
from billing.spend_limits import cap_name
from billing.stores import tables
from billing.stores.booking import IDS_PER_QUERY
from billing.stores.budgets import BUDGETS, HOLDERS, BudgetKind
from billing.stores.refill import CALL_AGE_MAX, TOMBSTONE_AGE

REMEMBERED = TOMBSTONE_AGE - timedelta(hours=1)
"""Calls that ended within this time must be known to the gate, which keeps tombstones for a day and
is filled with those of a day. The hour less is for differing clocks and long audits."""

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
    """Return what a partition's details are compared with, as this transaction sees it."""
    is_here = tables.accounts.c.slot % partitions == partition
    calls = tables.calls.c
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
        # Implied by the line above, since no call lasts longer, but only `created_at` has an index.
        calls.created_at >= now - REMEMBERED - CALL_AGE_MAX,
        is_here,
    )
    caps: dict[str, tuple[int, int]] = {}
    for kind in BUDGETS:
        caps |= await _caps(connection, kind, is_here, now)
    # Of counters at the gate too: one whose owner the book does not know is a finding.
    owners = {cap_owner(name) for name in [*dict(gate.spent), *caps]}
    known: dict[str, str] = {}
    for kind in HOLDERS.values():
        prefix = kind.holder_name("")
        named = (name.removeprefix(prefix) for name in owners if name.startswith(prefix))
        for ids in _chunks(named):
            found = await connection.execute(
                sa.select(kind.id, tables.accounts.c.id)
                .select_from(kind.holders)
                .where(kind.id.in_(ids), is_here)
            )
            known |= {kind.holder_name(of): account_id for of, account_id in found}
    return BookedDetail(openings, endings, caps, known, recent)


async def _endings(
    connection: AsyncConnection, *conditions: sa.ColumnElement[bool]
) -> dict[str, Ending]:
    calls = tables.calls.c
    rows = await connection.execute(
        sa.select(
            *(calls.id, calls.spent_micros, calls.written_off_micros, calls.seconds),
            *(calls.account_id, calls.cause, calls.ended_by),
            *(calls.answered_at, calls.ended_at, calls.ringing_at, calls.carrier_seconds),
        )
        .join_from(tables.calls, tables.accounts)
        .where(calls.closed, *conditions)
    )
    return {call_id: Ending(*ending) for call_id, *ending in rows}


async def _caps(
    connection: AsyncConnection, kind: BudgetKind, is_here: sa.ColumnElement[bool], now: datetime
) -> dict[str, tuple[int, int]]:
    """Return the lower and upper bound of the counter of each budget of a kind."""
    calls, start = tables.calls.c, kind.period.start(now)
    has_limit = kind.limit.is_not(None)
    rows = await connection.execute(
        sa.select(kind.id, *_bounds(start, kind.counted_from))
        .select_from(kind.calls)
        # By account, so that the index of an account's calls is used: few accounts have caps.
        .where(
            calls.account_id.in_(
                sa.select(tables.accounts.c.id).select_from(kind.holders).where(is_here, has_limit)
            ),
            has_limit,
            calls.created_at >= start - CALL_AGE_MAX,
        )
        .group_by(kind.id)
    )
    return {
        cap_name(kind.holder_name(row.id), kind.period, now): (int(row.least), int(row.most))
        for row in rows
    }


def _bounds(
    start: datetime, counted_from: sa.ColumnElement[datetime]
) -> Iterator[sa.ColumnElement[int]]:
    """Yield the least and the most that calls have cost in a period that began at `start`."""
    calls = tables.calls.c
    is_within = calls.created_at >= start
    is_counted = counted_from.is_(None) | (calls.created_at >= counted_from)
    # A call moves to the caps of a new period at its next tick, and what it owes or gets back from
    # then on counts there: none of its price at least, all of it at most.
    reaches_in = is_within | ~calls.closed | (calls.ended_at >= start)
    for of, label in ((is_within & is_counted, "least"), (reaches_in, "most")):
        yield sa.func.sum(sa.case((of, calls.spent_micros), else_=0)).label(label)


def _chunks(ids: Iterable[str]) -> Iterator[Collection[str]]:
    iterator = iter(ids)
    while chunk := list(islice(iterator, IDS_PER_QUERY)):
        yield chunk
