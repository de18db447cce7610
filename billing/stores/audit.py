"""Audits the book of record: whether balances, credits, holds, charges and ledger agree.

Reads one moment of the database, so it may run while calls are booked. It reports and never
repairs: a ledger that disagrees with itself is a matter for people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.clock import Clock, utc_now
from billing.ledger import CREDIT_SOURCES, CUSTOMER, REVENUE, WRITE_OFF
from billing.money import LIMIT
from billing.reconcile import Disagreement
from billing.stores import (
    call_audit,
    closed_audit,
    column_audit,
    deletion_refunds,
    late_payments,
    payment_audit,
    row_audit,
    tables,
)
from billing.stores.call_audit import shown_transfer
from billing.stores.findings import BY_HAND, CLOCKS, FINDINGS_MAX, FROM_LEDGER, TIMES, finding
from database.engine import AUDIT_TIMEOUT_S, reading_long

RECHECK_S = 3.0
"""How long what is booked about a payment may be ahead of the payment's own row."""


async def audit(
    engine: AsyncEngine, *, timeout_s: float = AUDIT_TIMEOUT_S, clock: Clock = utc_now
) -> list[str]:
    """Return one line per disagreement, none when the book is in order.

    Lines name account ids, call ids and references. Raises StoreUnavailableError.
    """
    async with reading_long(engine, timeout_s) as connection:
        found = await column_audit.unreadable(connection)
        # Only SQLite can hold values that cannot be read; those that can are audited all the same.
        if found and connection.dialect.name == "sqlite":
            await column_audit.hide(connection)
        found += await _broken(connection, _QUERIES.keys() - payment_audit.RULES.keys())
        found += await row_audit.audit_rows(connection, now := clock())
        found += await late_payments.audit_late_payments(connection, now)
        found += await deletion_refunds.audit_failed_refunds(connection, now)
        passing = await _broken(connection, payment_audit.RULES)
    # What payments' rules find may be a payment under way, whose row is about to follow its credit.
    if passing:
        await asyncio.sleep(RECHECK_S)
        async with reading_long(engine, timeout_s) as connection:
            # The views that hide values ended with the other transaction.
            if found and connection.dialect.name == "sqlite":
                await column_audit.hide(connection)
            again = await _broken(connection, {point.rule for point in passing})
        found += [point for point in again if point in passing]
    return [str(point) for point in found]


async def _broken(connection: AsyncConnection, rules: Collection[str]) -> list[Disagreement]:
    """Return what breaks rules that are queries."""
    found: list[Disagreement] = []
    for rule in (name for name in _QUERIES if name in rules):
        rows = await connection.execute(_LIMITED[rule])
        found += [finding(rule, row._mapping) for row in rows]
    return found


@dataclass(frozen=True, slots=True)
class AuditTotals:
    """What all accounts of one currency come to, in micros."""

    currency: str
    accounts: int = 0
    balances: int = 0
    """Credits less charges less holds, and what was carried forward."""
    credits: int = 0
    charges: int = 0
    holds: int = 0
    write_offs: int = 0
    carried: int = 0
    """Left of books that are closed: what their credits came to, less their charges."""


async def totals(
    engine: AsyncEngine, *, timeout_s: float = AUDIT_TIMEOUT_S
) -> Sequence[AuditTotals]:
    """Return the totals of each currency. Raises StoreUnavailableError."""
    found: dict[str, dict[str, int]] = {}
    async with reading_long(engine, timeout_s) as connection:
        if connection.dialect.name == "sqlite" and await column_audit.unreadable(connection):
            await column_audit.hide(connection)
        for query in _TOTALS:
            for row in await connection.execute(query):
                sums = row._asdict()
                # Queries group by the account's currency; one without transfers is absent from some
                # of them.
                of_currency = found.setdefault(sums.pop("currency"), {})
                of_currency.update({name: int(micros) for name, micros in sums.items()})
    return [AuditTotals(currency, **sums) for currency, sums in sorted(found.items())]


def _balances_that_disagree() -> sa.Select[Any]:
    """An account's balance is what its ledger has, and carries, less its live calls' holds."""
    accounts = tables.accounts.c
    calls = tables.calls.c
    postings = tables.postings.c
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
    carried = tables.closed_books.c.customer_micros
    due = booked + sa.func.coalesce(carried, 0) - held
    return (
        sa.select(
            accounts.id,
            accounts.balance_micros.label("balance"),
            due.label("ledger less holds"),
            carried.label("of that carried forward"),
        )
        .outerjoin_from(tables.accounts, tables.closed_books)
        .where(accounts.balance_micros != due)
    )


def _credits_with_gaps() -> sa.Select[Any]:
    """Credits, closed ones too, are numbered from 1 to the account's sequence, none missing."""
    accounts = tables.accounts.c
    # A number that is in both is found by another rule, and counts once here.
    numbers = sa.union(
        *(
            sa.select(table.c.account_id, table.c.sequence)
            for table in (tables.credits, tables.closed_credits)
        )
    ).subquery("numbers")
    count = sa.func.count(numbers.c.sequence)
    last = sa.func.coalesce(sa.func.max(numbers.c.sequence), 0)
    return (
        sa.select(
            accounts.id,
            sa.cast(accounts.credit_sequence, sa.String).label("sequence"),
            sa.cast(count, sa.String).label("credits"),
            sa.cast(last, sa.String).label("the last of number"),
        )
        .select_from(tables.accounts.outerjoin(numbers, numbers.c.account_id == accounts.id))
        .group_by(accounts.id, accounts.credit_sequence)
        .having(
            sa.or_(
                count != accounts.credit_sequence,
                last != accounts.credit_sequence,
                # As many as the highest number says, from 1, and none twice: so none is missing.
                sa.func.min(numbers.c.sequence) != 1,
            )
        )
    )


def _credits_not_in_the_ledger() -> sa.Select[Any]:
    """Each credit has its transfer, of the same account and amount."""
    credits = tables.credits.c
    postings = tables.postings.c
    booked = sa.select(postings.reference).where(
        postings.reference == "credit:" + credits.reference,
        postings.account_id == credits.account_id,
        postings.ledger_account == CUSTOMER,
        postings.micros == credits.micros,
    )
    return sa.select(
        credits.reference, credits.account_id.label("account"), credits.micros.label("credited")
    ).where(~booked.exists())


def _credits_dated_otherwise() -> sa.Select[Any]:
    """A credit and its transfer are booked at one moment."""
    credits = tables.credits.c
    transfers = tables.transfers.c
    return (
        sa.select(
            credits.reference,
            credits.account_id.label("account"),
            credits.at.label("credited"),
            transfers.at.label("in the ledger"),
        )
        .join_from(
            tables.credits, tables.transfers, transfers.reference == "credit:" + credits.reference
        )
        .where(credits.at != transfers.at)
    )


def _foreign_currencies() -> sa.Select[Any]:
    """An account's ledger is in the account's currency."""
    accounts = tables.accounts.c
    transfers = tables.transfers.c
    return (
        shown_transfer()
        .add_columns(transfers.currency.label("in"), accounts.currency.label("of account in"))
        .join_from(tables.transfers, tables.accounts)
        .where(transfers.currency != accounts.currency)
    )


def _transfers_of_no_kind() -> sa.Select[Any]:
    """A transfer moves between the ledger accounts that its kind says; see `ledger`."""
    transfers = tables.transfers.c
    move = sa.tuple_(transfers.kind, transfers.source, transfers.target)
    # A credit may go both ways: what a dispute took comes back when it is won.
    legal = [("charge", CUSTOMER, REVENUE), ("write-off", WRITE_OFF, REVENUE)]
    for kind, account in CREDIT_SOURCES.items():
        legal += [(kind, account, CUSTOMER), (kind, CUSTOMER, account)]
    return (
        shown_transfer()
        .add_columns(
            transfers.kind.label("kind"),
            transfers.source.label("from"),
            transfers.target.label("to"),
        )
        .where(move.not_in(legal))
    )


def _transfers_without_credit() -> sa.Select[Any]:
    """Each transfer of credit has its credit, of the same account and kind."""
    credits = tables.credits.c
    transfers = tables.transfers.c
    given = sa.select(credits.reference).where(
        "credit:" + credits.reference == transfers.reference,
        credits.account_id == transfers.account_id,
        credits.kind == transfers.kind,
    )
    return shown_transfer().where(transfers.kind.in_(CREDIT_SOURCES), ~given.exists())


def _impossible_accounts() -> sa.Select[Any]:
    """Balances fit the spend gate, nothing else is below zero, a deleted account is frozen."""
    accounts = tables.accounts.c
    caps = (accounts.call_cap_micros, accounts.day_cap_micros, accounts.month_cap_micros)
    return sa.select(accounts.id, accounts.balance_micros.label("balance")).where(
        sa.or_(
            sa.func.abs(accounts.balance_micros) > LIMIT,
            accounts.credit_sequence < 0,
            accounts.deleted_at.is_not(None) & ~accounts.frozen,
            *(cap < 0 for cap in caps),
        )
    )


def _closings_of_accounts_that_live() -> sa.Select[Any]:
    """Only what a deleted account has left is closed."""
    accounts = tables.accounts.c
    credits = tables.credits.c
    return (
        sa.select(
            credits.reference, credits.account_id.label("account"), credits.micros.label("booked")
        )
        .join_from(tables.credits, tables.accounts)
        .where(credits.kind == "closing", accounts.deleted_at.is_(None))
    )


_REJECTED = (
    "Look at the table rejected_entries: an entry may say who owes what. Report it as a bug."
)

_RULES: Mapping[str, tuple[sa.Select[Any], str]] = {
    "balance is not ledger less holds": (_balances_that_disagree(), FROM_LEDGER),
    "credit sequence has gaps": (_credits_with_gaps(), BY_HAND),
    "credit not in the ledger": (_credits_not_in_the_ledger(), BY_HAND),
    "credit dated otherwise than its transfer": (_credits_dated_otherwise(), BY_HAND),
    "transfer without its credit": (_transfers_without_credit(), BY_HAND),
    "transfer of no known kind": (_transfers_of_no_kind(), BY_HAND),
    "account with impossible figures": (_impossible_accounts(), FROM_LEDGER),
    "closing of an account that is not deleted": (_closings_of_accounts_that_live(), BY_HAND),
    "transfer in a foreign currency": (_foreign_currencies(), BY_HAND),
    "outbox entry could not be read": (
        sa.select(tables.rejected_entries.c.entry_id),
        _REJECTED,
    ),
}

_QUERIES: Mapping[str, tuple[sa.Select[Any], str]] = {
    **_RULES,
    **call_audit.RULES,
    **payment_audit.RULES,
    **closed_audit.RULES,
}

# Made once: to make a statement costs more than to run it.
_LIMITED = {rule: query.limit(FINDINGS_MAX) for rule, (query, _) in _QUERIES.items()}

ADVICE: Mapping[str, str] = {
    **{rule: advice for rule, (_, advice) in _QUERIES.items()},
    column_audit.UNREADABLE: column_audit.ADVICE,
    deletion_refunds.RULE: deletion_refunds.ADVICE,
    late_payments.RULE: late_payments.ADVICE,
    row_audit.PRICE_DIFFERS: BY_HAND,
    row_audit.PRICE_UNKNOWN: FROM_LEDGER,
    row_audit.QUALITY_UNREADABLE: (
        "The call is shown without these figures, and no money depends on them: put them back from"
        " a copy of the database, or write {} there."
    ),
    row_audit.SECONDS_TOO_MANY: BY_HAND,
    row_audit.TIMES_DISORDERED: TIMES,
    row_audit.BOOKED_EARLY: TIMES,
    row_audit.DATED_AHEAD: CLOCKS,
    row_audit.REFUND_DIFFERS: BY_HAND,
    row_audit.SLOT_DIFFERS: (
        "Stop the nodes, correct the row's slot to the CRC-32 of its id, then rebuild."
    ),
    row_audit.DECK_DIFFERS: (
        "Import the rates again (`caller rates import`); calls keep the rate they had."
    ),
}
"""Rule -> what to do about its findings."""

_accounts = tables.accounts.c
_calls = tables.calls.c
_transfers = tables.transfers.c


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
        sa.select(
            _accounts.currency, sa.func.sum(tables.closed_books.c.customer_micros).label("carried")
        ).join_from(tables.closed_books, tables.accounts),
        sa.select(_accounts.currency, sa.func.sum(_calls.spent_micros).label("holds"))
        .join_from(tables.calls, tables.accounts)
        .where(~_calls.closed),
    )
]
