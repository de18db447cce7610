"""Reads from the book of record the details of a partition, for the audit of the spend gate.

The counter of a spend cap can be computed exactly, except for calls that reach over the beginning
of its period, or began before the cap was set: these count in part, so there is a lower and an
upper bound. Caps of periods that are over bind nobody and are not computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

import sqlalchemy as sa

from billing.ports import PartitionState
from billing.reconcile import BookedDetail, Ending, cap_owner
from billing.spend_limits import cap_name
from billing.stores import tables
from billing.stores.booking import IDS_PER_QUERY
from billing.stores.budgets import BUDGETS, HOLDERS, BudgetKind
from billing.stores.refill import CALL_AGE_MAX, IS_HERE, TOMBSTONE_AGE, Here

REMEMBERED = TOMBSTONE_AGE - timedelta(hours=1)
"""Calls that ended within this time must be known to the gate, which keeps tombstones for a day and
is filled with those of a day. The hour less is for differing clocks and long audits."""

_OPENING = (
    "account_id",
    "node",
    "destination",
    "country",
    "codec",
    "origin",
    "currency",
    "rate",
    "created_at",
    "key_id",
)
"""What the record of a call's opening says, under the names of the book's columns."""


def _bounds(kind: BudgetKind) -> Iterator[sa.ColumnElement[int]]:
    """Yield the least and the most that calls have cost in the period that began at `start`."""
    calls = tables.calls.c
    start: sa.BindParameter[datetime] = sa.bindparam("start")
    is_within = calls.created_at >= start
    is_counted = kind.counted_from.is_(None) | (calls.created_at >= kind.counted_from)
    # A call moves to the caps of a new period at its next tick, and what it owes or gets back from
    # then on counts there: none of its price at least, all of it at most.
    reaches_in = is_within | ~calls.closed | (calls.ended_at >= start)
    for of, label in ((is_within & is_counted, "least"), (reaches_in, "most")):
        yield sa.func.sum(sa.case((of, calls.spent_micros), else_=0)).label(label)


def _caps(kind: BudgetKind) -> sa.Select[Any]:
    """Return the query of the lower and upper bound of the counter of each budget of a kind."""
    calls, has_limit = tables.calls.c, kind.limit.is_not(None)
    columns: Iterable[sa.ColumnElement[Any]] = (kind.id, *_bounds(kind))
    return (
        sa.select(*columns)
        .select_from(kind.calls)
        # By account, so that the index of an account's calls is used: few accounts have caps.
        .where(
            calls.account_id.in_(
                sa.select(tables.accounts.c.id).select_from(kind.holders).where(IS_HERE, has_limit)
            ),
            has_limit,
            calls.created_at >= sa.bindparam("created_from"),
        )
        .group_by(kind.id)
    )


# Made once: to make a statement costs more than to run it.
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_OPENINGS = (
    sa.select(tables.calls.c.id, *(tables.calls.c[name] for name in _OPENING))
    .join_from(tables.calls, tables.accounts)
    .where(tables.calls.c.id.in_(_IDS), tables.calls.c.opened, IS_HERE)
)
_ENDING = (
    "id",
    "spent_micros",
    "written_off_micros",
    "seconds",
    "account_id",
    "cause",
    "ended_by",
    "answered_at",
    "ended_at",
    "ringing_at",
    "carrier_seconds",
    "booked_at",
)
_ENDINGS = (
    sa.select(*(tables.calls.c[name] for name in _ENDING))
    .join_from(tables.calls, tables.accounts)
    .where(tables.calls.c.closed, IS_HERE)
)
_ENDINGS_OF = _ENDINGS.where(tables.calls.c.id.in_(_IDS))
_RECENT_ENDINGS = _ENDINGS.where(
    tables.calls.c.ended_at >= sa.bindparam("ended_from"),
    # The end of a forgotten call is that of its booking, which may be hours after the gate's.
    tables.calls.c.forgotten_at.is_(None),
    # Implied by the line above, since no call lasts longer, but only `created_at` has an index.
    tables.calls.c.created_at >= sa.bindparam("created_from"),
)
_CAPS = [(kind, _caps(kind)) for kind in BUDGETS]
_OWNERS = [
    (
        kind,
        sa.select(kind.id, tables.accounts.c.id)
        .select_from(kind.holders)
        .where(kind.id.in_(_IDS), IS_HERE),
    )
    for kind in HOLDERS.values()
]


def read_detail(
    connection: sa.Connection, gate: PartitionState, at: Here, now: datetime
) -> BookedDetail:
    """Return what a partition's details are compared with, as this transaction sees it."""
    openings: dict[str, Mapping[str, object]] = {}
    at_gate = (call.call_id for call in gate.open_calls), (call for call, _ in gate.closed_calls)
    for ids in _chunks(chain(*at_gate)):
        opened = connection.execute(_OPENINGS, {**at, "ids": ids})
        openings.update(
            {call_id: dict(zip(_OPENING, row, strict=True)) for call_id, *row in opened}
        )
    endings: dict[str, Ending] = {}
    for ids in _chunks(call_id for call_id, _ in gate.closed_calls):
        endings |= _endings(connection.execute(_ENDINGS_OF, {**at, "ids": ids}))
    since = {"ended_from": now - REMEMBERED, "created_from": now - REMEMBERED - CALL_AGE_MAX}
    recent = _endings(connection.execute(_RECENT_ENDINGS, {**at, **since}))
    caps: dict[str, tuple[int, int]] = {}
    for kind, query in _CAPS:
        start = kind.period.start(now)
        times = {"start": start, "created_from": start - CALL_AGE_MAX}
        caps |= {
            cap_name(kind.holder_name(row.id), kind.period, now): (int(row.least), int(row.most))
            for row in connection.execute(query, {**at, **times})
        }
    # Of counters at the gate too: one whose owner the book does not know is a finding.
    owners = {cap_owner(name) for name in [*dict(gate.spent), *caps]}
    known: dict[str, str] = {}
    for kind, query in _OWNERS:
        prefix = kind.holder_name("")
        named = (name.removeprefix(prefix) for name in owners if name.startswith(prefix))
        for ids in _chunks(named):
            found = connection.execute(query, {**at, "ids": ids})
            known |= {kind.holder_name(of): account_id for of, account_id in found}
    return BookedDetail(openings, endings, caps, known, recent)


def _endings(rows: Iterable[sa.Row[Any]]) -> dict[str, Ending]:
    return {call_id: Ending(*ending) for call_id, *ending in map(tuple, rows)}


def _chunks(ids: Iterable[str]) -> Iterator[Collection[str]]:
    iterator = iter(ids)
    while chunk := list(islice(iterator, IDS_PER_QUERY)):
        yield chunk
