"""Selects in SQL what the book has of payments, without the rows that cannot be read.

SQLite stores values of any type in any column. A row that cannot be read is named by the audit of
the book (`column_audit`), and must not keep the others from being compared.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from billing.payments import PaymentState
from billing.stores import tables
from billing.stores.column_audit import is_readable

_credits, _payments = tables.credits.c, tables.payments.c


def credits_of(dialect: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the query of the credits of payments, in the order of `BookedCredit`."""
    return (
        sa.select(
            _credits.reference,
            _credits.account_id,
            _credits.micros,
            tables.accounts.c.currency,
            _credits.kind,
            _credits.payment_id,
            _credits.at,
        )
        .join_from(tables.credits, tables.accounts)
        .where(
            is_readable(dialect, tables.credits), is_readable(dialect, tables.accounts), *conditions
        )
    )


def payments_of(dialect: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the query of payments."""
    is_known = _payments.state.in_([state.value for state in PaymentState])
    return sa.select(tables.payments).where(
        is_readable(dialect, tables.payments), is_known, *conditions
    )


def unreadable_references(dialect: str, names: Collection[str]) -> sa.Select[Any]:
    """Return the query of those references whose credits cannot be read, but for their names."""
    return (
        sa.select(_credits.reference)
        .join_from(tables.credits, tables.accounts)
        .where(
            _credits.reference.in_(names),
            sa.or_(
                sa.not_(is_readable(dialect, tables.credits)),
                sa.not_(is_readable(dialect, tables.accounts)),
            ),
        )
    )
