"""Closes books: entries that are too old are deleted, and carried forward as one sum per account.

Related entries are deleted together, once the youngest is too old: a call with all that was booked
of it, a payment with its top-up, refunds and disputes, any other credit by itself. Triggers of the
database add each deleted entry to the account's sums and refuse to delete any other, so that
balances are unchanged at each commit.

The names of a deleted account's closed credits are hidden, because the name of a payment leads to
the payer at the payment service: only its SHA-256 is kept, by which a repeated credit is still
recognised as booked.

Functions on the caller's connection, synchronous so that SQLite does a batch in one visit to its
thread. The caller decides the number of years.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from billing.ledger import LEDGER_ACCOUNTS
from billing.payments import PENDING, PaymentState
from billing.stores import tables
from billing.stores.freezes import is_used
from database.engine import upsert

CREDIT: Final = "credit:"
"""What the transfer of a credit is called, before the credit's own reference."""
OF_PAYMENTS: Final = ("top-up", "refund", "dispute")
"""Kinds of credits that a payment causes."""
_OF_CALLS: Final = ("charge:", "write-off:")
_UNDECIDED: Final = [state.value for state in (*PENDING, PaymentState.DISPUTED)]

_accounts = tables.accounts.c
_calls = tables.calls.c
_payments = tables.payments.c
_credits = tables.credits.c
_transfers = tables.transfers.c
_closed = tables.closed_books.c
_closed_credits = tables.closed_credits.c
_other_credits = tables.credits.alias("other_credits")
_other = tables.transfers.alias("other_transfers")

SUMS: Final = tuple(_closed[f"{name}_micros"] for name in LEDGER_ACCOUNTS)
"""Columns: what each ledger account was left with."""

_HIDDEN_PREFIX: Final = "sha256:"

_IS_HIDDEN: Final = (
    sa.func.substr(_closed_credits.reference, 1, len(_HIDDEN_PREFIX)) == _HIDDEN_PREFIX
)

Moment = datetime | sa.ColumnElement[datetime]


def is_closable_call(before: Moment) -> sa.ColumnElement[bool]:
    """Return which calls are over, with the last that was booked of them before a moment."""
    booked_later = (
        *(_other.c.reference == name + _calls.id for name in _OF_CALLS),
        # Of the partial index: an operator chooses the reference of a refund.
        (_other.c.kind == "call-refund") & (_other.c.call_id == _calls.id),
    )
    return sa.and_(
        _calls.closed,
        sa.func.coalesce(_calls.booked_at, _calls.ended_at) < before,
        *(
            ~sa.exists(sa.select(_other.c.at).where(which, _other.c.at >= before))
            for which in booked_later
        ),
    )


def is_closable_payment(before: Moment) -> sa.ColumnElement[bool]:
    """Return which payments are decided, with the last that was booked of them before a moment."""
    entry = sa.select(_other_credits.c.at).where(
        _other_credits.c.account_id == _payments.account_id,
        _other_credits.c.payment_id == _payments.id,
    )
    return sa.and_(
        _payments.created_at < before,
        # A dispute may be decided long after its last entry.
        _payments.updated_at < before,
        _payments.state.not_in(_UNDECIDED),
        entry.exists(),
        ~entry.where(_other_credits.c.at >= before).exists(),
    )


def is_closable_alone(before: Moment) -> sa.ColumnElement[bool]:
    """Return which credits are of no call and of no payment, and booked before a moment."""
    of_call = sa.select(_other.c.at).where(
        _other.c.reference == CREDIT + _credits.reference, _other.c.call_id.is_not(None)
    )
    payments = sa.select(_payments.id).where(_payments.account_id == _credits.account_id)
    return sa.and_(
        _credits.at < before,
        _credits.payment_id.is_(None),
        # What does not say which payment it is of is judged together with all of the account.
        _credits.kind.not_in(OF_PAYMENTS) | ~payments.exists(),
        ~of_call.exists(),
    )


def is_closable_entry(before: Moment) -> sa.ColumnElement[bool]:
    """Return which transfers can be closed: those of a call, payment or credit that can."""
    call = sa.select(_calls.id).where(_calls.id == _transfers.call_id, is_closable_call(before))
    payment = sa.select(_payments.id).where(
        _payments.id == _credits.payment_id,
        _payments.account_id == _credits.account_id,
        is_closable_payment(before),
    )
    credit = sa.select(_credits.reference).where(
        # Not by the two put together, which would find no index.
        _credits.reference == sa.func.substr(_transfers.reference, len(CREDIT) + 1),
        _transfers.reference == CREDIT + _credits.reference,
        payment.exists() | is_closable_alone(before),
    )
    return sa.and_(
        _transfers.at < before,
        sa.case((_transfers.call_id.is_not(None), call.exists()), else_=credit.exists()),
    )


def _is_open(before: datetime) -> sa.ColumnElement[bool]:
    """Return which accounts may be closed until a moment, and are not.

    Not those of a person who wants their data kept.
    """
    closed = sa.select(_closed.account_id).where(
        _closed.account_id == _accounts.id, _closed.until >= before
    )
    return sa.and_(_accounts.created_at < before, ~closed.exists(), is_used(_accounts.id))


def _is_due(before: datetime) -> sa.ColumnElement[bool]:
    """Return which of these, or of accounts with names to hide, have no call to forget first.

    Of a call that is whole more is known than its charge.
    """
    whole = sa.select(_calls.id).where(
        _calls.account_id == _accounts.id,
        _calls.created_at < before,
        _calls.closed,
        _calls.forgotten_at.is_(None),
    )
    has_names = sa.and_(are_to_hide(), is_used(_accounts.id))
    return sa.and_(_is_open(before) | has_names, ~whole.exists())


def count_due(connection: sa.Connection, before: datetime) -> int:
    """Return how many transfers are to be closed, once calls as old as these are forgotten."""
    query = sa.select(sa.func.count()).select_from(tables.transfers.join(tables.accounts))
    found = connection.scalar(query.where(_is_open(before), is_closable_entry(before)))
    return int(found or 0)


def accounts_due(
    connection: sa.Connection, before: datetime, *, after: str, limit: int
) -> Sequence[str]:
    """Return accounts behind `after` that have anything so old, in the order of their ids."""
    old = [
        sa.select(table.c.account_id).where(table.c.account_id == _accounts.id, at < before)
        for table, at in (
            (tables.transfers, _transfers.at),
            (tables.calls, _calls.created_at),
            (tables.payments, _payments.created_at),
        )
    ]
    has_any = sa.or_(are_to_hide(), *(each.exists() for each in old))
    query = (
        sa.select(_accounts.id)
        .where(_accounts.id > after, _is_due(before), has_any)
        .order_by(_accounts.id)
        .limit(limit)
    )
    return (connection.scalars(query)).all()


def close_some(
    connection: sa.Connection, account_id: str, before: datetime, *, limit: int
) -> tuple[int, bool]:
    """Close some of an account's books; return how many transfers went, and whether all did.

    Those of at most `limit` calls, payments and other credits; as many names are hidden. Whoever is
    killed has closed a batch or nothing; the next one goes on. Of an account that is not due, or in
    use, nothing goes.
    """
    until = sa.select(_closed.until).where(_closed.account_id == account_id).scalar_subquery()
    query = sa.select(_accounts.created_at, _accounts.deleted_at, until.label("until")).where(
        _accounts.id == account_id, _is_due(before)
    )
    # Locked: a refund that is booked meanwhile comes before, and its payment stays, or after.
    locked = query.with_for_update(skip_locked=True, of=tables.accounts)
    account = connection.execute(locked).one_or_none()
    if account is None:
        return 0, True
    row = upsert(connection, tables.closed_books).values(
        account_id=account_id, until=account.created_at, closing=before
    )
    connection.execute(
        row.on_conflict_do_update(index_elements=["account_id"], set_={"closing": before})
    )
    closed = [
        close(connection, account_id, before, limit)
        for close in (_close_calls, _close_payments, _close_credits)
    ]
    # Last, so that those of this batch are hidden with it.
    is_deleted = account.deleted_at is not None
    hidden = hide_some(connection, account_id, limit=limit) if is_deleted else 0
    is_done = all(units < limit for units in (hidden, *(units for units, _ in closed)))
    is_later = account.until is None or account.until < before
    connection.execute(
        sa.update(tables.closed_books)
        .where(_closed.account_id == account_id)
        .values({"closing": None} | ({"until": before} if is_done and is_later else {}))
    )
    return sum(entries for _, entries in closed), is_done


def _close_calls(
    connection: sa.Connection, account_id: str, before: datetime, limit: int
) -> tuple[int, int]:
    """Close calls; return how many, and how many transfers went with them."""
    query = (
        sa.select(_calls.id)
        # The first of these two is what the index orders by, and follows from the other.
        .where(_calls.account_id == account_id, _calls.created_at < before)
        .where(is_closable_call(before))
        .order_by(_calls.created_at)
        .limit(limit)
    )
    call_ids = (connection.scalars(query)).all()
    if not call_ids:
        return 0, 0
    names = [name + call_id for call_id in call_ids for name in _OF_CALLS]
    gone = _delete_transfers(connection, before, _transfers.reference.in_(names))
    refunds = _delete_transfers(
        connection, before, _transfers.kind == "call-refund", _transfers.call_id.in_(call_ids)
    )
    of_refunds = [reference.removeprefix(CREDIT) for reference in refunds]
    connection.execute(
        sa.delete(tables.credits).where(_credits.reference.in_(of_refunds), _credits.at < before)
    )
    connection.execute(sa.delete(tables.calls).where(_calls.id.in_(call_ids)))
    return len(call_ids), len(gone) + len(refunds)


def _close_payments(
    connection: sa.Connection, account_id: str, before: datetime, limit: int
) -> tuple[int, int]:
    query = (
        sa.select(_payments.id)
        .where(_payments.account_id == account_id, is_closable_payment(before))
        .order_by(_payments.created_at)
        .limit(limit)
    )
    payment_ids = (connection.scalars(query)).all()
    if not payment_ids:
        return 0, 0
    mine = sa.and_(_credits.account_id == account_id, _credits.payment_id.in_(payment_ids))
    entries = _delete_credits(connection, before, mine)
    connection.execute(sa.delete(tables.payments).where(_payments.id.in_(payment_ids)))
    return len(payment_ids), entries


def _close_credits(
    connection: sa.Connection, account_id: str, before: datetime, limit: int
) -> tuple[int, int]:
    query = (
        sa.select(_credits.reference)
        .where(_credits.account_id == account_id, is_closable_alone(before))
        .order_by(_credits.sequence)
        .limit(limit)
    )
    references = (connection.scalars(query)).all()
    if not references:
        return 0, 0
    entries = _delete_credits(connection, before, _credits.reference.in_(references))
    return len(references), entries


def _delete_credits(
    connection: sa.Connection, before: datetime, which: sa.ColumnElement[bool]
) -> int:
    """Delete credits with their transfers; return how many of these."""
    gone = connection.scalars(
        sa.delete(tables.credits).where(which, _credits.at < before).returning(_credits.reference)
    )
    names = [CREDIT + reference for reference in gone]
    return len(_delete_transfers(connection, before, _transfers.reference.in_(names)))


def _delete_transfers(
    connection: sa.Connection, before: datetime, *which: sa.ColumnElement[bool]
) -> Collection[str]:
    # Dated before, or the database refuses: one that is not, against the rules, stays, and the
    # audit names it.
    gone = connection.scalars(
        sa.delete(tables.transfers)
        .where(*which, _transfers.at < before)
        .returning(_transfers.reference)
    )
    return gone.all()


def names_of(reference: str) -> tuple[str, str]:
    """Return what a credit is called in `closed_credits`: as it was, or hidden."""
    return reference, _HIDDEN_PREFIX + hashlib.sha256(reference.encode()).hexdigest()


def is_hidden_of(account_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return whether an account has names that are hidden."""
    return sa.exists(
        sa.select(_closed_credits.sequence).where(
            _closed_credits.account_id == account_id, _IS_HIDDEN
        )
    )


def are_to_hide() -> sa.ColumnElement[bool]:
    """Return which accounts are deleted, and have names that can be read."""
    readable = sa.select(_closed_credits.sequence).where(
        _closed_credits.account_id == _accounts.id, ~_IS_HIDDEN
    )
    return sa.and_(_accounts.deleted_at.is_not(None), readable.exists())


def hide_some(connection: sa.Connection, account_id: str, *, limit: int) -> int:
    """Hide some names of an account whose books are being closed; return how many."""
    query = (
        sa.select(_closed_credits.sequence, _closed_credits.reference)
        .where(_closed_credits.account_id == account_id, ~_IS_HIDDEN)
        .order_by(_closed_credits.sequence)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    if rows:
        connection.execute(
            sa.update(tables.closed_credits)
            .where(
                _closed_credits.account_id == account_id,
                _closed_credits.sequence == sa.bindparam("number"),
            )
            .values(reference=sa.bindparam("hidden")),
            [{"number": row.sequence, "hidden": names_of(row.reference)[1]} for row in rows],
        )
    return len(rows)
