"""Hides what closed credits of a deleted account were called, and knows them by it all the same.

The name of a payment leads, at the payment service, to whoever paid. What stays of it is its
SHA-256: a credit that is told again is still known to be booked, and nobody can read back whose it
was. Functions on the caller's connection.
"""

from __future__ import annotations

import hashlib
from typing import Final

import sqlalchemy as sa

from billing.stores import tables

_BEGINS: Final = "sha256:"
_closed, _accounts = tables.closed_credits.c, tables.accounts.c

_IS_HIDDEN: Final = sa.func.substr(_closed.reference, 1, len(_BEGINS)) == _BEGINS


def names_of(reference: str) -> tuple[str, str]:
    """Return what a credit is called in `closed_credits`: as it was, or hidden."""
    return reference, _BEGINS + hashlib.sha256(reference.encode()).hexdigest()


def is_hidden_of(account_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return whether an account has names that are hidden."""
    return sa.exists(
        sa.select(_closed.sequence).where(_closed.account_id == account_id, _IS_HIDDEN)
    )


def are_to_hide() -> sa.ColumnElement[bool]:
    """Return which accounts are deleted, and have names that can be read."""
    readable = sa.select(_closed.sequence).where(_closed.account_id == _accounts.id, ~_IS_HIDDEN)
    return sa.and_(_accounts.deleted_at.is_not(None), readable.exists())


def hide_some(connection: sa.Connection, account_id: str, *, limit: int) -> int:
    """Hide some names of an account whose books are being closed; return how many."""
    query = (
        sa.select(_closed.sequence, _closed.reference)
        .where(_closed.account_id == account_id, ~_IS_HIDDEN)
        .order_by(_closed.sequence)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    if rows:
        connection.execute(
            sa.update(tables.closed_credits)
            .where(_closed.account_id == account_id, _closed.sequence == sa.bindparam("number"))
            .values(reference=sa.bindparam("hidden")),
            [{"number": row.sequence, "hidden": names_of(row.reference)[1]} for row in rows],
        )
    return len(rows)
