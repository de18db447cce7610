"""Audits what no query can: prices, refunds, times and digests, computed again row by row.

Reads in pages, so that memory does not grow with the number of calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.call_refunds import OUR_FAULT_S, RefundRule
from billing.errors import RateDeckError
from billing.ports import partition_of
from billing.rating import Rate
from billing.reconcile import Disagreement
from billing.stores import tables
from billing.stores.call_rows import quality_in
from billing.stores.findings import FINDINGS_MAX, figures_of

PAGE_ROWS = 2_000
DECKS_MAX = 3
"""Rate decks whose digest is computed: the newest that count."""
SECOND = timedelta(seconds=1)
_SETTLED_CAUSE = 41
"""With `ended_by` gateway: of a call that was settled for a dead node. Q.850, temporary failure."""
ROUNDING = timedelta(milliseconds=2)
"""A call's times are kept to the millisecond; its seconds were counted before that."""
CLOCKS_DIFFER_MAX = timedelta(minutes=1)
"""How far the clocks of two machines are taken to differ: of a node and of a drainer, or of a node
and of the one that settled its calls."""

DATED_AHEAD = "dated in the future"
PRICE_DIFFERS = "call cost is not its rate times its seconds"
PRICE_UNKNOWN = "call whose rate cannot be read"
QUALITY_UNREADABLE = "call whose quality cannot be read"
SECONDS_TOO_MANY = "call charged for more seconds than it lasted"
TIMES_DISORDERED = "call whose times are out of order"
BOOKED_EARLY = "call booked before it ended"
REFUND_DIFFERS = "call refund is not what its rule gives"
SLOT_DIFFERS = "account in a foreign partition"
DECK_DIFFERS = "rate deck differs from its digest"


async def audit_rows(connection: AsyncConnection, now: datetime) -> list[Disagreement]:
    """Return what disagrees, at most `FINDINGS_MAX` of each rule."""
    counts: dict[str, int] = {}
    # Every other rule compares times with one another, and passes if all of them were moved alike.
    findings = await _dated_ahead(connection, now + CLOCKS_DIFFER_MAX)
    for look in (_look_at_calls, _look_at_refunds, _look_at_accounts, _look_at_decks):
        async for found in look(connection):
            counts[found.rule] = counts.get(found.rule, 0) + 1
            if counts[found.rule] <= FINDINGS_MAX:
                findings.append(found)
    return findings


_DATES_OF_CALLS = tuple(
    tables.calls.c[name]
    for name in ("created_at", "ringing_at", "answered_at", "ended_at", "booked_at")
)
_DATED = (
    # Subject, account, dates
    (tables.calls.c.id, tables.calls.c.account_id, _DATES_OF_CALLS),
    (tables.credits.c.reference, tables.credits.c.account_id, (tables.credits.c.at,)),
    (tables.transfers.c.reference, tables.transfers.c.account_id, (tables.transfers.c.at,)),
    (tables.payments.c.id, tables.payments.c.account_id, (tables.payments.c.created_at,)),
)


async def _dated_ahead(connection: AsyncConnection, latest: datetime) -> list[Disagreement]:
    """Return what is dated after a moment: not even what was made to fit can have happened yet."""
    found: list[Disagreement] = []
    for subject, account, dates in _DATED:
        query = sa.select(subject, account, *dates).where(sa.or_(*(at > latest for at in dates)))
        for row in await connection.execute(query.limit(FINDINGS_MAX - len(found))):
            figures = zip(("account", *(at.name for at in dates)), row[1:], strict=True)
            found.append(Disagreement(DATED_AHEAD, row[0], figures_of(figures)))
    return found


Found = AsyncIterator[Disagreement]


async def _pages(
    connection: AsyncConnection, query: sa.Select[Any], key: sa.ColumnElement[str]
) -> AsyncIterator[Sequence[sa.Row[Any]]]:
    """Yield a query's rows page by page; `key` is its first column and tells rows apart."""
    after = None
    while True:
        # A page continues after a key, not after a count, so that each is one range of the index.
        page = query.order_by(key).limit(PAGE_ROWS)
        rows = (await connection.execute(page if after is None else page.where(key > after))).all()
        if rows:
            yield rows
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1][0]


async def _look_at_calls(connection: AsyncConnection) -> Found:
    """Ended calls; what one was whose opening is lost, or still to come, is not known."""
    calls = tables.calls.c
    query = sa.select(
        calls.id,
        calls.account_id,
        calls.rate,
        calls.seconds,
        calls.cause,
        calls.spent_micros,
        calls.written_off_micros,
        calls.ended_by,
        calls.opened,
        calls.created_at,
        calls.ringing_at,
        calls.answered_at,
        calls.ended_at,
        calls.booked_at,
        calls.browser_quality,
        calls.carrier_quality,
    ).where(calls.closed)
    async for rows in _pages(connection, query, calls.id):
        for row in rows:
            for found in (*_price_faults(row), *_time_faults(row), *_quality_faults(row)):
                yield found


def _price_faults(row: sa.Row[Any]) -> Iterator[Disagreement]:
    # Without its opening the rate is not known, so no price can be computed.
    if not row.opened:
        return
    asked = row.spent_micros + row.written_off_micros
    rate = _rate(row.rate)
    if rate is None:
        # A call that cost nothing may have been refused before it had a rate.
        if asked or row.seconds:
            yield _of_call(PRICE_UNKNOWN, row, asked=asked)
        return
    cost = rate.cost(row.seconds)
    # A call that was settled for a dead node is charged no more than its node had been granted.
    if asked > cost or (asked < cost and not _is_settled(row)):
        yield _of_call(PRICE_DIFFERS, row, asked=asked, due=cost)
    lasted = _lasted(row.answered_at, row.ended_at)
    # Rounded up like the charge: a second counts once it has begun.
    if row.seconds > -((-lasted - ROUNDING) // SECOND):
        yield _of_call(
            SECONDS_TOO_MANY,
            row,
            charged=f"{row.seconds} s",
            lasted=f"{max(0.0, lasted.total_seconds()):.3f} s",
        )


def _time_faults(row: sa.Row[Any]) -> Iterator[Disagreement]:
    """Yield what no clock can have shown: a call's own clock never goes back."""
    # The end of such a call is by the clock of the node that settled it.
    slack = CLOCKS_DIFFER_MAX if _is_settled(row) else ROUNDING
    times = {
        "created": row.created_at if row.opened else None,
        "ringing": row.ringing_at,
        "answered": row.answered_at,
        "ended": row.ended_at,
    }
    known = [at for at in times.values() if at is not None]
    if any(later < earlier - slack for earlier, later in pairwise(known)):
        yield _of_call(TIMES_DISORDERED, row, **times)
    if row.booked_at and row.ended_at and row.booked_at < row.ended_at - CLOCKS_DIFFER_MAX:
        yield _of_call(BOOKED_EARLY, row, ended=row.ended_at, booked=row.booked_at)


def _quality_faults(row: sa.Row[Any]) -> Iterator[Disagreement]:
    """Yield figures of the legs that cannot be read: people see the call without them."""
    columns = {"browser_quality": row.browser_quality, "carrier_quality": row.carrier_quality}
    if bad := [name for name, text in columns.items() if quality_in(text) is None]:
        yield _of_call(QUALITY_UNREADABLE, row, column=", ".join(bad))


def _is_settled(row: sa.Row[Any]) -> bool:
    """Whether the call was ended for a dead node, by another that knows its seconds only."""
    return bool(row.ended_by == "gateway" and row.cause == _SETTLED_CAUSE)


def _of_call(rule: str, row: sa.Row[Any], **figures: Any) -> Disagreement:
    return Disagreement(rule, row.id, figures_of([("account", row.account_id), *figures.items()]))


def _lasted(answered_at: datetime | None, ended_at: datetime | None) -> timedelta:
    if answered_at is None or ended_at is None:
        return -ROUNDING
    return ended_at - answered_at


# Calls share a few rates, so that most of them need no decoding.
@lru_cache(1024)
def _rate(text: str) -> Rate | None:
    try:
        return Rate.from_json(text)
    except RateDeckError:
        return None


async def _look_at_refunds(connection: AsyncConnection) -> Found:
    """Refunds that rules have made: their reference is the call's."""
    calls = tables.calls.c
    transfers = tables.transfers.c
    query = (
        sa.select(transfers.reference, transfers.micros, transfers.reason)
        .add_columns(calls.account_id, calls.spent_micros, calls.seconds)
        .join_from(tables.transfers, tables.calls, transfers.call_id == calls.id)
        .where(transfers.kind == "call-refund")
        # Refunds that an operator gives may have any amount.
        .where(transfers.reference == "credit:call:" + calls.id)
    )
    async for rows in _pages(connection, query, transfers.reference):
        for row in rows:
            due = row.spent_micros
            if row.reason == RefundRule.OUR_FAULT.value and row.seconds > OUR_FAULT_S:
                due = -(-due * OUR_FAULT_S // row.seconds)
            if row.micros != due:
                figures = [("account", row.account_id), ("refunded", row.micros), ("due", due)]
                yield Disagreement(REFUND_DIFFERS, row.reference, figures_of(figures))


async def _look_at_accounts(connection: AsyncConnection) -> Found:
    accounts = tables.accounts.c
    query = sa.select(accounts.id, accounts.slot)
    async for rows in _pages(connection, query, accounts.id):
        for row in rows:
            if row.slot != partition_of(row.id, tables.SLOTS):
                yield Disagreement(SLOT_DIFFERS, row.id)


async def _look_at_decks(connection: AsyncConnection) -> Found:
    decks = tables.rate_decks.c
    newest = (
        sa.select(decks.version)
        .where(decks.withdrawn_at.is_(None))
        .order_by(decks.activates_at.desc(), decks.version.desc())
        .limit(DECKS_MAX)
    )
    for version in (await connection.execute(newest)).scalars().all():
        # One content at a time: a deck may have some hundred thousand lines.
        query = sa.select(decks.digest, decks.content).where(decks.version == version)
        digest, content = (await connection.execute(query)).one()
        if hashlib.sha256(content.encode()).hexdigest() != digest:
            yield Disagreement(DECK_DIFFERS, f"version {version}")
