"""Audits the book of record: whether balances, credits, holds, charges and ledger agree.

Reads one moment of the database, so it may run while calls are booked. It reports and never
repairs: a ledger that disagrees with itself is a matter for people.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import CREDIT_SOURCES, CUSTOMER, REVENUE, WRITE_OFF
from billing.money import LIMIT
from billing.payments import TAKEN_BACK, PaymentState
from billing.stores import tables
from billing.stores.database import reading
from billing.stores.row_audit import (
    DECK_DIFFERS,
    FINDINGS_MAX,
    PRICE_DIFFERS,
    PRICE_UNKNOWN,
    REFUND_DIFFERS,
    SECONDS_TOO_MANY,
    SLOT_DIFFERS,
    audit_rows,
)

AUDIT_TIMEOUT_S = 300.0
"""An audit reads the whole ledger."""


async def audit(engine: AsyncEngine, *, timeout_s: float = AUDIT_TIMEOUT_S) -> list[str]:
    """Return one line per disagreement, none when the book is in order.

    Lines name account ids, call ids and references. Raises StoreUnavailableError.
    """
    findings = []
    async with _at_leisure(engine, timeout_s) as connection:
        for rule, (query, _) in _RULES.items():
            rows = await connection.execute(query.limit(FINDINGS_MAX))
            findings += [f"{rule}: {row[0]}" for row in rows]
        findings += await audit_rows(connection)
    return findings


@dataclass(frozen=True, slots=True)
class Totals:
    """What all accounts of one currency come to, in micros."""

    currency: str
    accounts: int = 0
    balances: int = 0
    """Credits less charges less holds."""
    credits: int = 0
    charges: int = 0
    holds: int = 0
    write_offs: int = 0


async def totals(engine: AsyncEngine, *, timeout_s: float = AUDIT_TIMEOUT_S) -> Sequence[Totals]:
    """Return the totals of each currency. Raises StoreUnavailableError."""
    found: dict[str, dict[str, int]] = {}
    async with _at_leisure(engine, timeout_s) as connection:
        for query in _TOTALS:
            for row in await connection.execute(query):
                sums = row._asdict()
                of_currency = found.setdefault(sums.pop("currency"), {})
                of_currency.update({name: int(micros) for name, micros in sums.items()})
    return [Totals(currency, **sums) for currency, sums in sorted(found.items())]


@asynccontextmanager
async def _at_leisure(engine: AsyncEngine, timeout_s: float) -> AsyncIterator[AsyncConnection]:
    """Read without the database's own limit on one statement."""
    async with reading(engine, timeout_s) as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        yield connection


def _balances_that_disagree() -> sa.Select[str]:
    """An account's balance is its ledger balance less the holds of its live calls."""
    accounts, calls, postings = tables.accounts.c, tables.calls.c, tables.postings.c
    booked = (
        sa.select(sa.func.coalesce(sa.func.sum(postings.micros), 0))
        .where(postings.account_id == accounts.id, postings.ledger_account == CUSTOMER)
        .correlate(tables.accounts)
        .scalar_subquery()
    )
    held = (
        sa.select(sa.func.coalesce(sa.func.sum(calls.spent_micros), 0))
        .where(calls.account_id == accounts.id, ~calls.closed)
        .correlate(tables.accounts)
        .scalar_subquery()
    )
    return sa.select(accounts.id).where(accounts.balance_micros != booked - held)


def _credits_with_gaps() -> sa.Select[str]:
    """Credits are numbered from 1 to the account's sequence, none missing."""
    accounts, credits = tables.accounts.c, tables.credits.c
    return (
        sa.select(accounts.id)
        .select_from(tables.accounts.outerjoin(tables.credits))
        .group_by(accounts.id, accounts.credit_sequence)
        .having(
            sa.or_(
                sa.func.count(credits.sequence) != accounts.credit_sequence,
                sa.func.coalesce(sa.func.max(credits.sequence), 0) != accounts.credit_sequence,
            )
        )
    )


def _credits_not_in_the_ledger() -> sa.Select[str]:
    """Each credit has its transfer, of the same account and amount."""
    credits, postings = tables.credits.c, tables.postings.c
    booked = sa.select(postings.reference).where(
        postings.reference == "credit:" + credits.reference,
        postings.account_id == credits.account_id,
        postings.ledger_account == CUSTOMER,
        postings.micros == credits.micros,
    )
    return sa.select(credits.reference).where(~booked.exists())


def _calls_not_in_the_ledger(kind: str, column: sa.ColumnElement[int]) -> sa.Select[str]:
    """Each ended call with something to book has its one transfer, of that amount."""
    calls, transfers = tables.calls.c, tables.transfers.c
    booked = sa.select(transfers.reference).where(
        transfers.reference == f"{kind}:" + calls.id,
        transfers.account_id == calls.account_id,
        transfers.micros == column,
    )
    return sa.select(calls.id).where(calls.closed, column > 0, ~booked.exists())


def _charges_without_cause() -> sa.Select[str]:
    """No live call is in the ledger, and no charge of a call that cost nothing."""
    calls, transfers = tables.calls.c, tables.transfers.c
    is_due = sa.case(
        (transfers.kind == "charge", calls.spent_micros > 0),
        (transfers.kind == "write-off", calls.written_off_micros > 0),
        (transfers.kind == "call-refund", sa.true()),
        else_=sa.false(),
    )
    return (
        sa.select(transfers.reference)
        .join_from(tables.transfers, tables.calls, calls.id == transfers.call_id)
        .where(sa.or_(~calls.closed, ~is_due))
    )


def _foreign_currencies() -> sa.Select[str]:
    """An account's ledger is in the account's currency."""
    accounts, transfers = tables.accounts.c, tables.transfers.c
    return (
        sa.select(transfers.reference)
        .join_from(tables.transfers, tables.accounts)
        .where(transfers.currency != accounts.currency)
    )


def _refunds_beyond_their_charge() -> sa.Select[str]:
    """What is given back of a call never exceeds what it was charged."""
    transfers = tables.transfers.c
    is_back = transfers.target == CUSTOMER
    moved = sa.case(
        (transfers.kind == "charge", transfers.micros),
        (sa.and_(transfers.kind == "call-refund", is_back), -transfers.micros),
        (transfers.kind == "call-refund", transfers.micros),
        else_=0,
    )
    return (
        sa.select(transfers.call_id)
        .where(transfers.call_id.is_not(None))
        .group_by(transfers.call_id)
        .having(sa.func.sum(moved) < 0)
    )


def _top_ups_without_payment() -> sa.Select[str]:
    """Each top-up names a payment, where payments are kept at all."""
    credits, payments = tables.credits.c, tables.payments.c
    paid = sa.select(payments.id).where("pi:" + payments.payment_intent_id == credits.reference)
    return sa.select(credits.reference).where(
        credits.kind == "top-up", sa.exists(sa.select(payments.id)), ~paid.exists()
    )


def _payments_without_top_up() -> sa.Select[str]:
    """Each payment that was paid has its top-up: what is booked is noted as paid only then."""
    credits, payments = tables.credits.c, tables.payments.c
    booked = sa.select(credits.reference).where(
        credits.reference == "pi:" + payments.payment_intent_id
    )
    return sa.select(payments.id).where(payments.state.in_(_PAID), ~booked.exists())


def _top_ups_unlike_their_payment() -> sa.Select[str]:
    """A top-up is its payment's: of its account and its amount."""
    credits, payments = tables.credits.c, tables.payments.c
    return (
        sa.select(credits.reference)
        .join_from(
            tables.credits,
            tables.payments,
            credits.reference == "pi:" + payments.payment_intent_id,
        )
        .where(
            sa.or_(
                credits.account_id != payments.account_id,
                credits.micros != payments.micros,
                credits.kind != "top-up",
            )
        )
    )


def _calls_booked_twice() -> sa.Select[str]:
    """A call has one charge and one write-off at most, under whatever reference."""
    transfers = tables.transfers.c
    return (
        sa.select(transfers.call_id)
        .where(transfers.kind.in_(("charge", "write-off")), transfers.call_id.is_not(None))
        .group_by(transfers.call_id, transfers.kind)
        .having(sa.func.count() > 1)
    )


def _charges_without_record() -> sa.Select[str]:
    """Each charge has its call record."""
    calls, transfers = tables.calls.c, tables.transfers.c
    return (
        sa.select(transfers.reference)
        .join_from(tables.transfers, tables.calls, calls.id == transfers.call_id, isouter=True)
        .where(transfers.kind.in_(("charge", "write-off", "call-refund")), calls.id.is_(None))
        # A refund that names no call is an operator's.
        .where(sa.or_(transfers.kind != "call-refund", transfers.call_id.is_not(None)))
    )


def _calls_of_another_account() -> sa.Select[str]:
    """What is booked for a call is booked on its account."""
    calls, transfers = tables.calls.c, tables.transfers.c
    return (
        sa.select(transfers.reference)
        .join_from(tables.transfers, tables.calls, calls.id == transfers.call_id)
        .where(calls.account_id != transfers.account_id)
    )


def _transfers_of_no_kind() -> sa.Select[str]:
    """A transfer moves between the ledger accounts that its kind says; see `ledger`."""
    transfers = tables.transfers.c
    move = sa.tuple_(transfers.kind, transfers.source, transfers.target)
    legal = [("charge", CUSTOMER, REVENUE), ("write-off", WRITE_OFF, REVENUE)]
    for kind, account in CREDIT_SOURCES.items():
        legal += [(kind, account, CUSTOMER), (kind, CUSTOMER, account)]
    return sa.select(transfers.reference).where(move.not_in(legal))


def _transfers_without_credit() -> sa.Select[str]:
    """Each transfer of credit has its credit, of the same account and kind."""
    credits, transfers = tables.credits.c, tables.transfers.c
    given = sa.select(credits.reference).where(
        "credit:" + credits.reference == transfers.reference,
        credits.account_id == transfers.account_id,
        credits.kind == transfers.kind,
    )
    return sa.select(transfers.reference).where(transfers.kind.in_(CREDIT_SOURCES), ~given.exists())


def _impossible_accounts() -> sa.Select[str]:
    """Balances fit the spend gate, sequences and caps are not below zero."""
    accounts = tables.accounts.c
    caps = (accounts.call_cap_micros, accounts.day_cap_micros, accounts.month_cap_micros)
    return sa.select(accounts.id).where(
        sa.or_(
            sa.func.abs(accounts.balance_micros) > LIMIT,
            accounts.credit_sequence < 0,
            *(cap < 0 for cap in caps),
        )
    )


def _impossible_calls() -> sa.Select[str]:
    """A live call has a beginning and no end, an ended one its end; nothing is below zero."""
    calls = tables.calls.c
    end = (calls.ended_at, calls.cause, calls.ended_by)
    return sa.select(calls.id).where(
        sa.or_(
            calls.spent_micros < 0,
            calls.seconds < 0,
            calls.written_off_micros < 0,
            sa.and_(calls.closed, sa.or_(*(column.is_(None) for column in end))),
            sa.and_(~calls.closed, sa.or_(*(column.is_not(None) for column in end))),
            sa.and_(~calls.closed, sa.or_(calls.written_off_micros != 0, ~calls.opened)),
        )
    )


def _impossible_payments() -> sa.Select[str]:
    """A payment is of its account's currency, above zero, and refunded within its amount."""
    accounts, payments = tables.accounts.c, tables.payments.c
    return (
        sa.select(payments.id)
        .join_from(tables.payments, tables.accounts)
        .where(
            sa.or_(
                payments.micros <= 0,
                payments.refunded_micros < 0,
                payments.refunded_micros > payments.micros,
                payments.currency != accounts.currency,
                payments.state.not_in([state.value for state in PaymentState]),
            )
        )
    )


def _calls_in_foreign_currencies() -> sa.Select[str]:
    """A call is priced in its account's currency."""
    accounts, calls = tables.accounts.c, tables.calls.c
    return (
        sa.select(calls.id)
        .join_from(tables.calls, tables.accounts)
        .where(calls.opened, calls.currency != accounts.currency)
    )


def _calls_with_foreign_keys() -> sa.Select[str]:
    """A call is bought with a key of its account."""
    calls, keys = tables.calls.c, tables.api_keys.c
    return (
        sa.select(calls.id)
        .join_from(tables.calls, tables.api_keys, keys.id == calls.key_id)
        .where(keys.account_id != calls.account_id)
    )


_PAID = [state.value for state in (PaymentState.PAID, PaymentState.WON, *TAKEN_BACK)]

_BY_HAND = (
    "The ledger is never changed: find out what wrote this (the database's own log, a restored"
    " table), stop it, and correct the outcome by a credit with a reason"
    " (`caller accounts credit`)."
)
_FROM_LEDGER = (
    "Compare `caller ledger show` with the row: the ledger's transfers are the proof, the row is"
    " kept beside them. Correct the row to what the transfers say."
)
_PAYMENTS = (
    "Compare with the payment service's pages; `caller payments reconcile --since DATE` books what"
    " is lacking."
)
_REJECTED = (
    "Look at the table rejected_entries: an entry may say who owes what. Report it as a bug."
)

_RULES: Mapping[str, tuple[sa.Select[str], str]] = {
    "balance is not ledger less holds": (_balances_that_disagree(), _FROM_LEDGER),
    "credit sequence has gaps": (_credits_with_gaps(), _BY_HAND),
    "credit not in the ledger": (_credits_not_in_the_ledger(), _BY_HAND),
    "transfer without its credit": (_transfers_without_credit(), _BY_HAND),
    "transfer of no known kind": (_transfers_of_no_kind(), _BY_HAND),
    "charge not in the ledger": (
        _calls_not_in_the_ledger("charge", tables.calls.c.spent_micros),
        _FROM_LEDGER,
    ),
    "write-off not in the ledger": (
        _calls_not_in_the_ledger("write-off", tables.calls.c.written_off_micros),
        _FROM_LEDGER,
    ),
    "call booked without cause": (_charges_without_cause(), _BY_HAND),
    "call booked more than once": (_calls_booked_twice(), _BY_HAND),
    "charge without a call record": (_charges_without_record(), _BY_HAND),
    "call booked on another account": (_calls_of_another_account(), _BY_HAND),
    "call refunded beyond its charge": (_refunds_beyond_their_charge(), _BY_HAND),
    "call with impossible figures": (_impossible_calls(), _FROM_LEDGER),
    "call in a foreign currency": (_calls_in_foreign_currencies(), _FROM_LEDGER),
    "call bought with another account's key": (_calls_with_foreign_keys(), _FROM_LEDGER),
    "account with impossible figures": (_impossible_accounts(), _FROM_LEDGER),
    "top-up without a payment": (_top_ups_without_payment(), _PAYMENTS),
    "payment without its top-up": (_payments_without_top_up(), _PAYMENTS),
    "top-up unlike its payment": (_top_ups_unlike_their_payment(), _PAYMENTS),
    "payment with impossible figures": (_impossible_payments(), _PAYMENTS),
    "transfer in a foreign currency": (_foreign_currencies(), _BY_HAND),
    "outbox entry could not be read": (
        sa.select(tables.rejected_entries.c.entry_id),
        _REJECTED,
    ),
}

ADVICE: Mapping[str, str] = {
    **{rule: advice for rule, (_, advice) in _RULES.items()},
    PRICE_DIFFERS: _BY_HAND,
    PRICE_UNKNOWN: _FROM_LEDGER,
    SECONDS_TOO_MANY: _BY_HAND,
    REFUND_DIFFERS: _BY_HAND,
    SLOT_DIFFERS: "Stop the nodes, correct the row's slot to the CRC-32 of its id, then rebuild.",
    DECK_DIFFERS: "Import the rates again (`caller rates import`); calls keep the rate they had.",
}
"""Rule -> what to do about its findings."""

_accounts, _calls, _transfers = tables.accounts.c, tables.calls.c, tables.transfers.c


def _sum_of_kind(kind: str) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((_transfers.kind == kind, _transfers.micros), else_=0))


_TOTALS: Sequence[sa.Select[Any]] = [
    query.group_by(_accounts.currency)
    for query in (
        sa.select(
            _accounts.currency,
            sa.func.count().label("accounts"),
            sa.func.sum(_accounts.balance_micros).label("balances"),
        ),
        sa.select(
            _accounts.currency, sa.func.sum(tables.credits.c.micros).label("credits")
        ).join_from(tables.credits, tables.accounts),
        sa.select(
            _accounts.currency,
            _sum_of_kind("charge").label("charges"),
            _sum_of_kind("write-off").label("write_offs"),
        ).join_from(tables.transfers, tables.accounts),
        sa.select(_accounts.currency, sa.func.sum(_calls.spent_micros).label("holds"))
        .join_from(tables.calls, tables.accounts)
        .where(~_calls.closed),
    )
]
