"""Audits closed books: what was carried forward, and that none of its entries is left.

`audit` checks that balances and the numbers of credits continue from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import sqlalchemy as sa

from billing.stores import tables
from billing.stores.call_audit import shown_transfer
from billing.stores.closed_books import (
    CREDIT,
    SUMS,
    is_closable_call,
    is_closable_entry,
    is_closable_payment,
)
from billing.stores.findings import BY_HAND

_closed = tables.closed_books.c
_credits = tables.credits.c


def _sums_that_are_not_nothing() -> sa.Select[Any]:
    """What one ledger account lost the others gained, also of entries that are gone."""
    shown = (column.label(column.name.removesuffix("_micros")) for column in SUMS)
    return sa.select(_closed.account_id, *shown).where(reduce(add, SUMS) != 0)


def _entries_left() -> sa.Select[Any]:
    """What is older than the moment until which books are closed was carried, and deleted."""
    return (
        shown_transfer()
        .add_columns(tables.transfers.c.at.label("dated"), _closed.until.label("closed until"))
        .join_from(
            tables.transfers,
            tables.closed_books,
            _closed.account_id == tables.transfers.c.account_id,
        )
        .where(is_closable_entry(_closed.until))
    )


def _rows_left(table: sa.Table, is_closable: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The same of calls, and payments."""
    return (
        sa.select(
            table.c.id, table.c.account_id.label("account"), _closed.until.label("closed until")
        )
        .join_from(table, tables.closed_books, _closed.account_id == table.c.account_id)
        .where(is_closable)
    )


def _credits_closed_and_left() -> sa.Select[Any]:
    """A credit is in the book or closed, and not both: it would count twice."""
    closed = tables.closed_credits.c
    return sa.select(
        _credits.reference, _credits.account_id.label("account"), _credits.micros.label("booked")
    ).join_from(
        tables.credits,
        tables.closed_credits,
        (closed.reference == _credits.reference)
        | (closed.account_id == _credits.account_id) & (closed.sequence == _credits.sequence),
    )


def _transfers_of_closed_credits() -> sa.Select[Any]:
    """The transfer of a credit goes with it."""
    closed = tables.closed_credits.c
    transfers = tables.transfers.c
    return shown_transfer().join_from(
        tables.transfers, tables.closed_credits, transfers.reference == CREDIT + closed.reference
    )


_OPEN = (
    "A transaction that closes books ends with this column blank: something else has set it, and"
    " entries could be deleted. Set it to NULL."
)
_AGAIN = (
    "Rows that were carried forward are there again: has a table been restored from an older copy?"
    " Where no balance is named beside it, they count once, and were booked under a wrong date: the"
    " next year's closing carries them. Else put the whole database back from one copy."
)

RULES: Mapping[str, tuple[sa.Select[Any], str]] = {
    "books carried forward do not balance": (_sums_that_are_not_nothing(), BY_HAND),
    "books left open for deletion": (
        sa.select(_closed.account_id, _closed.closing.label("before")).where(
            _closed.closing.is_not(None)
        ),
        _OPEN,
    ),
    "entry of closed books is still there": (_entries_left(), _AGAIN),
    "call of closed books is still there": (
        _rows_left(tables.calls, is_closable_call(_closed.until)),
        _AGAIN,
    ),
    "payment of closed books is still there": (
        _rows_left(tables.payments, is_closable_payment(_closed.until)),
        _AGAIN,
    ),
    "credit is booked and closed": (_credits_closed_and_left(), _AGAIN),
    "transfer of a credit that is closed": (_transfers_of_closed_credits(), _AGAIN),
}
"""Rule -> what breaks it, subject first, and what to do."""
