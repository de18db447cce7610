"""Audits calls: each must be charged once, as its record says, on its account.

The right price of a call is computed row by row, see `row_audit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import sqlalchemy as sa

from billing.cdr import MEASURED, EndedBy
from billing.figures import NUMBERS
from billing.ledger import CUSTOMER
from billing.stores import tables
from billing.stores.findings import BY_HAND, FROM_LEDGER

_OF_CALLS = ("charge", "write-off")


def _calls_not_in_the_ledger(kind: str, column: sa.ColumnElement[int]) -> sa.Select[Any]:
    """Each ended call with something to book has its one transfer, of that amount."""
    calls = tables.calls.c
    transfers = tables.transfers.c
    booked = sa.select(transfers.reference).where(
        transfers.reference == f"{kind}:" + calls.id,
        transfers.account_id == calls.account_id,
        transfers.micros == column,
    )
    return sa.select(
        calls.id, calls.account_id.label("account"), column.label("in the record")
    ).where(calls.closed, column > 0, ~booked.exists())


def _charges_without_cause() -> sa.Select[Any]:
    """No live call is in the ledger, and no charge of a call that cost nothing."""
    calls = tables.calls.c
    transfers = tables.transfers.c
    is_due = sa.case(
        (transfers.kind == "charge", calls.spent_micros > 0),
        (transfers.kind == "write-off", calls.written_off_micros > 0),
        (transfers.kind == "call-refund", sa.true()),
        # No other kind of transfer is booked because of a call.
        else_=sa.false(),
    )
    return (
        shown_transfer()
        .add_columns(calls.spent_micros.label("in the record"))
        .join_from(tables.transfers, tables.calls, calls.id == transfers.call_id)
        .where(sa.or_(~calls.closed, ~is_due))
    )


def _calls_booked_twice() -> sa.Select[Any]:
    """A call has one charge and one write-off at most, under whatever reference."""
    transfers = tables.transfers.c
    return (
        sa.select(
            transfers.call_id,
            sa.func.max(transfers.account_id).label("account"),
            sa.func.sum(transfers.micros).label("booked in all"),
        )
        .where(transfers.kind.in_(_OF_CALLS), transfers.call_id.is_not(None))
        # Not by reference, which is unique: a second charge could only stand under another name.
        .group_by(transfers.call_id, transfers.kind)
        .having(sa.func.count() > 1)
    )


def _charges_without_record() -> sa.Select[Any]:
    """Each charge has its call record."""
    calls = tables.calls.c
    transfers = tables.transfers.c
    return (
        shown_transfer()
        # An outer join keeps the transfers whose record is missing: those are looked for.
        .join_from(tables.transfers, tables.calls, calls.id == transfers.call_id, isouter=True)
        .where(transfers.kind.in_(("charge", "write-off", "call-refund")), calls.id.is_(None))
        # A refund that names no call is an operator's.
        .where(sa.or_(transfers.kind != "call-refund", transfers.call_id.is_not(None)))
    )


def _calls_of_another_account() -> sa.Select[Any]:
    """What is booked for a call is booked on its account."""
    calls = tables.calls.c
    transfers = tables.transfers.c
    return (
        shown_transfer()
        .add_columns(calls.account_id.label("call of account"))
        .join_from(tables.transfers, tables.calls, calls.id == transfers.call_id)
        .where(calls.account_id != transfers.account_id)
    )


def _charges_dated_otherwise() -> sa.Select[Any]:
    """What is booked for a call has the date on which its end was booked."""
    calls = tables.calls.c
    transfers = tables.transfers.c
    return (
        sa.select(
            transfers.reference,
            calls.account_id.label("account"),
            calls.ended_at.label("ended"),
            calls.booked_at.label("booked"),
            transfers.at.label("in the ledger"),
        )
        .join_from(tables.transfers, tables.calls, calls.id == transfers.call_id)
        .where(transfers.kind.in_(_OF_CALLS), calls.closed, transfers.at != calls.booked_at)
    )


def _transfers_of_another_name() -> sa.Select[Any]:
    """What is booked for a call bears its name, as its refund by rule does, and nothing else."""
    transfers = tables.transfers.c
    # An operator chooses the reference of a refund; only refunds by rule are named after the call.
    by_rule = sa.func.substr(transfers.reference, 1, len("credit:call:")) == "credit:call:"
    due = sa.case(
        (transfers.kind.in_(_OF_CALLS), transfers.kind + ":" + transfers.call_id),
        (by_rule, "credit:call:" + transfers.call_id),
    )
    return sa.select(
        transfers.reference,
        transfers.account_id.label("account"),
        transfers.call_id.label("call"),
        transfers.micros.label("booked"),
    ).where(
        sa.case(
            (
                transfers.kind.in_(_OF_CALLS) | ((transfers.kind == "call-refund") & by_rule),
                transfers.call_id.is_(None) | (transfers.reference != due),
            ),
            (transfers.kind == "call-refund", sa.false()),
            # Top-ups, grants and the like must name no call: they would count as booked for it.
            else_=transfers.call_id.is_not(None),
        )
    )


def _refunds_beyond_their_charge() -> sa.Select[Any]:
    """What is given back of a call never exceeds what it was charged."""
    transfers = tables.transfers.c
    is_back = transfers.target == CUSTOMER
    # A refund may be undone, by a transfer away from the customer, and then counts the other way.
    moved = sa.case(
        (transfers.kind == "charge", transfers.micros),
        (sa.and_(transfers.kind == "call-refund", is_back), -transfers.micros),
        (transfers.kind == "call-refund", transfers.micros),
        else_=0,
    )
    return (
        sa.select(transfers.call_id, (-sa.func.sum(moved)).label("beyond by"))
        .where(transfers.call_id.is_not(None))
        .group_by(transfers.call_id)
        .having(sa.func.sum(moved) < 0)
    )


def shown_transfer() -> sa.Select[Any]:
    """Return a query of transfers, as findings show them."""
    transfers = tables.transfers.c
    return sa.select(
        transfers.reference,
        transfers.account_id.label("account"),
        transfers.micros.label("booked"),
    )


def _impossible_calls() -> sa.Select[Any]:
    """A live call has a beginning and no end, an ended one its end; nothing is below zero."""
    calls = tables.calls.c
    end = (calls.ended_at, calls.cause, calls.ended_by)
    # A record without its opening has blanks there, so none of these may be filled.
    has_opening = sa.or_(calls.rate != "", calls.node != "", calls.currency != "")
    return _shown_call().where(
        sa.or_(
            calls.spent_micros < 0,
            calls.seconds < 0,
            calls.written_off_micros < 0,
            calls.cause < 0,
            *(calls[figure.column] < 0 for figure in MEASURED if figure.unit in NUMBERS),
            calls.ended_by.not_in(get_args(EndedBy)),
            ~calls.opened & has_opening,
            sa.and_(calls.closed, sa.or_(*(column.is_(None) for column in end))),
            sa.and_(~calls.closed, sa.or_(*(column.is_not(None) for column in end))),
            sa.and_(~calls.closed, sa.or_(calls.written_off_micros != 0, ~calls.opened)),
            ~calls.closed & calls.booked_at.is_not(None),
        )
    )


def _calls_in_foreign_currencies() -> sa.Select[Any]:
    """A call is priced in its account's currency."""
    accounts = tables.accounts.c
    calls = tables.calls.c
    return (
        _shown_call()
        .add_columns(calls.currency.label("in"), accounts.currency.label("of account in"))
        .join_from(tables.calls, tables.accounts)
        .where(calls.opened, calls.currency != accounts.currency)
    )


def _calls_with_foreign_keys() -> sa.Select[Any]:
    """A call is bought with a key of its account."""
    calls = tables.calls.c
    keys = tables.api_keys.c
    return (
        _shown_call()
        .add_columns(keys.account_id.label("key of account"))
        .join_from(tables.calls, tables.api_keys, keys.id == calls.key_id)
        .where(keys.account_id != calls.account_id)
    )


def _calls_without_key() -> sa.Select[Any]:
    """The key that a call was bought with is kept, also when it is revoked."""
    calls = tables.calls.c
    keys = tables.api_keys.c
    kept = sa.select(keys.id).where(keys.id == calls.key_id)
    return (
        _shown_call()
        .add_columns(calls.key_id.label("key"))
        .where(calls.opened, calls.key_id != "", ~kept.exists())
    )


def _shown_call() -> sa.Select[Any]:
    calls = tables.calls.c
    return sa.select(
        calls.id,
        calls.account_id.label("account"),
        calls.spent_micros.label("charged or held"),
        calls.written_off_micros.label("written off"),
        (sa.cast(calls.seconds, sa.String) + " s").label("for"),
    )


_KEYS = (
    "Keys are revoked, and never deleted: put the key's row back from a copy of the database, or"
    " correct the record's key, if another row says which it was. What was charged stays."
)

RULES: Mapping[str, tuple[sa.Select[Any], str]] = {
    "charge dated otherwise than its call": (_charges_dated_otherwise(), BY_HAND),
    "transfer named after another call": (_transfers_of_another_name(), BY_HAND),
    "charge not in the ledger": (
        _calls_not_in_the_ledger("charge", tables.calls.c.spent_micros),
        FROM_LEDGER,
    ),
    "write-off not in the ledger": (
        _calls_not_in_the_ledger("write-off", tables.calls.c.written_off_micros),
        FROM_LEDGER,
    ),
    "call booked without cause": (_charges_without_cause(), BY_HAND),
    "call booked more than once": (_calls_booked_twice(), BY_HAND),
    "charge without a call record": (_charges_without_record(), BY_HAND),
    "call booked on another account": (_calls_of_another_account(), BY_HAND),
    "call refunded beyond its charge": (_refunds_beyond_their_charge(), BY_HAND),
    "call with impossible figures": (_impossible_calls(), FROM_LEDGER),
    "call in a foreign currency": (_calls_in_foreign_currencies(), FROM_LEDGER),
    "call bought with another account's key": (_calls_with_foreign_keys(), FROM_LEDGER),
    "call bought with a key that is not kept": (_calls_without_key(), _KEYS),
}
"""Rule -> what breaks it, subject first, and what to do."""
