"""Reads and filters rows of the table of calls, and stores the caller's feedback in them.

Feedback is part of the call's row, so it is deleted with it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.call_feedback import Feedback, Only, feedback_in, feedback_text
from billing.cdr import (
    ANY_CALL,
    MEASURED,
    CallClosed,
    CallFilter,
    CallOpened,
    CallRecord,
    LegQuality,
)
from billing.errors import RateDeckError
from billing.rating import Rate
from billing.stores import tables
from billing.stores.pages import newest_first
from database.engine import TIMEOUT_S, writing

_UNMEASURED = LegQuality()
_QUALITY = msgspec.json.Decoder(LegQuality)


def quality_in(column: str) -> LegQuality | None:
    """Return the figures of a leg of an ended call; None if they cannot be read."""
    try:
        return _QUALITY.decode(column)
    # UnicodeError: of a lone surrogate, which no JSON holds.
    except (msgspec.MsgspecError, UnicodeError):
        return None


def record_in(row: sa.Row[Any]) -> CallRecord:
    """Return the record of a call."""
    return CallRecord(
        opened=opened_in(row),
        closed=_closed_whole(row) if row.closed else None,
        cost_micros=row.spent_micros if row.closed else _used_micros(row),
        written_off_micros=row.written_off_micros,
        used_s=row.seconds,
        answered_at=None if row.closed else row.answered_at,
        feedback=feedback_in(row.feedback),
    )


def opened_in(row: sa.Row[Any]) -> CallOpened:
    """Return how a call was opened."""
    return CallOpened(
        call_id=row.id,
        account_id=row.account_id,
        node=row.node,
        destination=row.destination,
        country=row.country,
        codec=row.codec,
        origin=row.origin,
        currency=row.currency,
        rate=row.rate,
        created_at=row.created_at,
        key_id=row.key_id,
    )


def closed_in(
    row: sa.Row[Any], browser: LegQuality = _UNMEASURED, carrier: LegQuality = _UNMEASURED
) -> CallClosed:
    """Return how a call ended; the figures of its legs are not read from the row."""
    return CallClosed(
        ended_at=row.ended_at,
        seconds=row.seconds,
        cause=row.cause,
        cause_name=row.cause_name,
        ended_by=row.ended_by,
        carrier_call_id=row.carrier_call_id,
        browser=browser,
        carrier=carrier,
        **{each.name: each.from_column(getattr(row, each.column)) for each in MEASURED},
    )


def _closed_whole(row: sa.Row[Any]) -> CallClosed:
    # Only of closed calls: the columns of an open one are empty, which is no JSON.
    # What cannot be read is unmeasured: it must not hide the call, nor those beside it.
    legs = (quality_in(leg) or _UNMEASURED for leg in (row.browser_quality, row.carrier_quality))
    return closed_in(row, *legs)


def _used_micros(row: sa.Row[Any]) -> int:
    """Return the price of what a call has used: until its end is booked, `spent` is its hold.

    0 where the row's rate cannot be read; the audit reports such rows.
    """
    try:
        return Rate.from_json(row.rate).cost(row.seconds)
    except RateDeckError:
        return 0


def matching_newest_first(
    account_id: str, only: CallFilter, *, limit: int, before: str | None
) -> sa.Select[Any]:
    """Return the query of an account's newest calls that match, as `newest_first`.

    Which calls match is found in the index alone, so that a filter that matches few of 100,000
    calls reads no row that it leaves out.
    """
    calls = tables.calls
    query = newest_first(calls, account_id, limit=limit, before=before).where(
        calls.c.forgotten_at.is_(None)
    )
    if only == ANY_CALL:
        return query
    ids = query.where(*_conditions(only)).with_only_columns(calls.c.id, maintain_column_froms=True)
    return (
        sa.select(calls)
        .where(calls.c.id.in_(ids))
        .order_by(calls.c.created_at.desc(), calls.c.id.desc())
    )


def _conditions(only: CallFilter) -> list[sa.ColumnElement[bool]]:
    calls = tables.calls.c
    found: list[sa.ColumnElement[bool]] = []
    if only.since is not None:
        found.append(calls.created_at >= only.since)
    if only.until is not None:
        found.append(calls.created_at < only.until)
    if only.digits:
        found.append(calls.destination.contains(only.digits, autoescape=True))
    if only.answered is not None:
        is_answered = calls.answered_at.is_not(None)
        found += [calls.closed, is_answered if only.answered else sa.not_(is_answered)]
    if only.causes:
        found.append(calls.cause.in_(sorted(only.causes)))
    if only.ended_by is not None:
        found.append(calls.ended_by == only.ended_by)
    return found


class SqlFeedbackStore:
    """`FeedbackStore` in SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def give(
        self, account_id: str, call_id: str, feedback: Feedback, only: Only | None = None
    ) -> Feedback | None:
        """Store the first feedback on a call, and return what is stored.

        Later feedback changes nothing. Returns None if the account has no such call. Raises
        StoreUnavailableError.
        """
        if "\0" in call_id:  # PostgreSQL refuses such text with an error
            return None
        calls = tables.calls.c
        # A call that is forgotten is none any more.
        mine = [calls.id == call_id, calls.account_id == account_id, calls.forgotten_at.is_(None)]
        if only is not None:
            # A live call has no end yet, so it never matches.
            mine += [calls.key_id == only.key_id, calls.ended_at > only.ended_after]
        change = (
            sa.update(tables.calls)
            .where(*mine, calls.feedback == "")
            .values(feedback=feedback_text(feedback))
        )
        async with writing(self._engine, self._timeout_s) as connection:
            await connection.execute(change)
            kept = await connection.scalar(sa.select(calls.feedback).where(*mine))
        return None if kept is None else feedback_in(kept)
