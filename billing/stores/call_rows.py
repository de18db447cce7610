"""Reads rows of the table of calls: how a call was opened, how it ended, and its whole record."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from billing.call_feedback import feedback_in
from billing.cdr import MEASURED, CallClosed, CallOpened, CallRecord, LegQuality
from billing.errors import RateDeckError
from billing.rating import Rate

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
