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

from billing.ledger import CUSTOMER
from billing.stores import tables
from billing.stores.database import reading

AUDIT_TIMEOUT_S = 300.0
"""An audit reads the whole ledger."""
FINDINGS_MAX = 100
"""Per rule; one disagreement is news, a thousand are the same news."""


async def audit(engine: AsyncEngine, *, timeout_s: float = AUDIT_TIMEOUT_S) -> list[str]:
    """Return one line per disagreement, none when the book is in order.

    Lines name account ids, call ids and references. Raises StoreUnavailableError.
    """
    findings = []
    async with _at_leisure(engine, timeout_s) as connection:
        for rule, query in _RULES.items():
            rows = await connection.execute(query.limit(FINDINGS_MAX))
            findings += [f"{rule}: {row[0]}" for row in rows]
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


_RULES: Mapping[str, sa.Select[str]] = {
    "balance is not ledger less holds": _balances_that_disagree(),
    "credit sequence has gaps": _credits_with_gaps(),
    "credit not in the ledger": _credits_not_in_the_ledger(),
    "charge not in the ledger": _calls_not_in_the_ledger("charge", tables.calls.c.spent_micros),
    "write-off not in the ledger": _calls_not_in_the_ledger(
        "write-off", tables.calls.c.written_off_micros
    ),
    "call booked without cause": _charges_without_cause(),
    "call refunded beyond its charge": _refunds_beyond_their_charge(),
    "top-up without a payment": _top_ups_without_payment(),
    "transfer in a foreign currency": _foreign_currencies(),
    "outbox entry could not be read": sa.select(tables.rejected_entries.c.entry_id),
}

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
