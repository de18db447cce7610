"""The part of an audit that no query can do: prices, refunds, digests, computed again by row.

Reads in pages, so that it needs as little memory for a million calls as for one. Knows no ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.call_refunds import OUR_FAULT_S, RefundRule
from billing.errors import RateDeckError
from billing.partition import partition_of
from billing.rating import Rate
from billing.stores import tables

FINDINGS_MAX = 100
"""Per rule; one disagreement is news, a thousand are the same news."""
PAGE_ROWS = 2_000
DECKS_MAX = 3
"""Rate decks whose digest is computed: the newest that count."""
SECOND = timedelta(seconds=1)
_SETTLED_CAUSE = 41
"""With `ended_by` gateway: of a call that was settled for a dead node. Q.850, temporary failure."""

PRICE_DIFFERS = "call cost is not its rate times its seconds"
PRICE_UNKNOWN = "call whose rate cannot be read"
SECONDS_TOO_MANY = "call charged for more seconds than it lasted"
REFUND_DIFFERS = "call refund is not what its rule gives"
SLOT_DIFFERS = "account in a foreign partition"
DECK_DIFFERS = "rate deck differs from its digest"


async def audit_rows(connection: AsyncConnection) -> list[str]:
    """Return one line per disagreement, as `audit` does."""
    counts: dict[str, int] = {}
    findings: list[str] = []
    for look in (_look_at_calls, _look_at_refunds, _look_at_accounts, _look_at_decks):
        async for rule, subject in look(connection):
            counts[rule] = counts.get(rule, 0) + 1
            if counts[rule] <= FINDINGS_MAX:
                findings.append(f"{rule}: {subject}")
    return findings


Found = AsyncIterator[tuple[str, str]]


async def _pages(
    connection: AsyncConnection, query: sa.Select[Any], key: sa.ColumnElement[str]
) -> AsyncIterator[Sequence[sa.Row[Any]]]:
    """Yield a query's rows page by page; `key` is its first column and tells rows apart."""
    after = None
    while True:
        page = query.order_by(key).limit(PAGE_ROWS)
        rows = (await connection.execute(page if after is None else page.where(key > after))).all()
        if rows:
            yield rows
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1][0]


async def _look_at_calls(connection: AsyncConnection) -> Found:
    """Ended calls; the rate of one whose opening is lost, or still to come, is not known."""
    calls = tables.calls.c
    query = sa.select(
        *(calls.id, calls.rate, calls.seconds, calls.spent_micros, calls.written_off_micros),
        *(calls.answered_at, calls.ended_at, calls.ended_by, calls.cause),
    ).where(calls.closed, calls.opened)
    async for rows in _pages(connection, query, calls.id):
        for row in rows:
            for rule in _faults_of(row):
                yield rule, row.id


def _faults_of(row: sa.Row[Any]) -> Iterator[str]:
    asked = row.spent_micros + row.written_off_micros
    rate = _rate(row.rate)
    if rate is None:
        # What cost nothing may have been refused before it had a rate.
        if asked or row.seconds:
            yield PRICE_UNKNOWN
        return
    cost = rate.cost(row.seconds)
    # Whoever settles the call of a dead node takes no more than that had been granted.
    is_settled = row.ended_by == "gateway" and row.cause == _SETTLED_CAUSE
    if asked > cost or (asked < cost and not is_settled):
        yield PRICE_DIFFERS
    if row.seconds > _lasted_s(row.answered_at, row.ended_at):
        yield SECONDS_TOO_MANY


def _lasted_s(answered_at: datetime | None, ended_at: datetime | None) -> int:
    """Return the seconds begun between two moments, and one, for they are rounded."""
    if answered_at is None or ended_at is None:
        return 0
    return -((answered_at - ended_at) // SECOND) + 1


@lru_cache(1024)
def _rate(text: str) -> Rate | None:
    try:
        return Rate.from_json(text)
    except RateDeckError:
        return None


async def _look_at_refunds(connection: AsyncConnection) -> Found:
    """Refunds that rules have made: their reference is the call's."""
    calls, transfers = tables.calls.c, tables.transfers.c
    query = (
        sa.select(transfers.reference, transfers.micros, transfers.reason)
        .add_columns(calls.id, calls.spent_micros, calls.seconds)
        .join_from(tables.transfers, tables.calls, transfers.call_id == calls.id)
        .where(transfers.kind == "call-refund")
        .where(transfers.reference == "credit:call:" + calls.id)
    )
    async for rows in _pages(connection, query, transfers.reference):
        for row in rows:
            due = row.spent_micros
            if row.reason == RefundRule.OUR_FAULT.value and row.seconds > OUR_FAULT_S:
                due = -(-due * OUR_FAULT_S // row.seconds)
            if row.micros != due:
                yield REFUND_DIFFERS, row.reference


async def _look_at_accounts(connection: AsyncConnection) -> Found:
    accounts = tables.accounts.c
    query = sa.select(accounts.id, accounts.slot)
    async for rows in _pages(connection, query, accounts.id):
        for row in rows:
            if row.slot != partition_of(row.id, tables.SLOTS):
                yield SLOT_DIFFERS, row.id


async def _look_at_decks(connection: AsyncConnection) -> Found:
    decks = tables.rate_decks.c
    newest = (
        sa.select(decks.version)
        .where(decks.withdrawn_at.is_(None))
        .order_by(decks.activates_at.desc(), decks.version.desc())
        .limit(DECKS_MAX)
    )
    for version in (await connection.execute(newest)).scalars().all():
        # One at a time: a deck may have some hundred thousand lines.
        query = sa.select(decks.digest, decks.content).where(decks.version == version)
        digest, content = (await connection.execute(query)).one()
        if hashlib.sha256(content.encode()).hexdigest() != digest:
            yield DECK_DIFFERS, f"version {version}"
