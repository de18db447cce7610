"""Stores in SQL what the rules of admission examine, which are lifted, and what they refuse.

Refusals are counts by account, hour and rule, not one row per attempt: a flood of attempts would be
a flood of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.stores import countries
from accounts.stores.tables import devices, holders
from billing.clock import Clock, utc_now
from billing.stores.tables import closed_books, credits
from database.columns import NAMING_CONVENTION, UtcDateTime
from database.engine import TIMEOUT_S, reading, upsert, writing
from gateway.limits.fraud import AccountFacts, Allowance
from gateway.stores.disposable_domains import is_disposable

REFUSALS_KEPT: Final = timedelta(days=90)
"""As long as a card holder's bank may take to dispute most payments."""
_NAME_MAX: Final = 64

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)


def _name(name: str) -> tuple[sa.Column[str], sa.CheckConstraint]:
    check = f"length({name}) BETWEEN 1 AND {_NAME_MAX}"
    return (
        sa.Column(name, sa.String, primary_key=True),
        sa.CheckConstraint(check, name=f"{name}_length"),
    )


rule_overrides = sa.Table(
    "rule_overrides",
    metadata,
    # No foreign key, as in the audit log, which says who made each row and why.
    *_name("account_id"),
    *_name("rule"),
    sa.Column("until", UtcDateTime, nullable=False),
)

call_refusals = sa.Table(
    "call_refusals",
    metadata,
    *_name("account_id"),
    sa.Column("hour", UtcDateTime, primary_key=True, index=True),
    *_name("rule"),
    # One run of one process counts from zero, and writes its whole count each time, so writing it
    # twice changes nothing.
    *_name("run"),
    sa.Column("count", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("account_id", "hour", "rule", "run"),
)


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """How often a rule has refused an account within an hour."""

    hour: datetime
    rule: str
    count: int


class SqlFraudBook:
    """`gateway.calls.risk.RiskBook` and `gateway.calls.refusal_counts.RefusalBook`.

    Every method raises StoreUnavailableError, and is safe to repeat.
    """

    def __init__(
        self, engine: AsyncEngine, *, clock: Clock = utc_now, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._timeout_s = timeout_s

    async def standing(self, account_id: str) -> AccountFacts:
        """Return what the rules examine of an account; an unknown one looks like a new one."""
        first_paid = (
            sa.select(credits.c.at)
            .where(credits.c.account_id == account_id, credits.c.kind == "top-up")
            .order_by(credits.c.sequence)
            .limit(1)
        )
        # Of payments in closed books no date is left, except that all were before this one.
        closed = sa.select(closed_books.c.until).where(
            closed_books.c.account_id == account_id, closed_books.c.payments_micros != 0
        )
        email_key = sa.select(holders.c.email_key).where(holders.c.account_id == account_id)
        seen_in = sa.select(devices.c.country).where(
            devices.c.account_id == account_id, devices.c.country != ""
        )
        async with reading(self._engine, self._timeout_s) as connection:
            opened = await countries.of_account(connection, account_id)
            first_paid_at = await connection.scalar(closed) or await connection.scalar(first_paid)
            address = await connection.scalar(email_key)
            seen = frozenset(await connection.scalars(seen_in))
            lifted = await overrides_of(connection, account_id)
        domain = str(address or "").rpartition("@")[2]
        return AccountFacts(
            opened=opened,
            first_paid_at=first_paid_at,
            # It only limits spending after a payment.
            is_disposable=first_paid_at is not None and await is_disposable(domain),
            seen_in=seen,
            lifted=lifted,
        )

    async def save_refusals(
        self, run: str, counts: Mapping[tuple[str, datetime, str], int]
    ) -> None:
        """Store (account, hour, rule) -> the total count of a run."""
        async with writing(self._engine, self._timeout_s) as connection:
            # Sorted, so that two processes never deadlock.
            for (account_id, hour, rule), count in sorted(counts.items()):
                row = upsert(connection, call_refusals).values(
                    account_id=account_id, hour=hour, rule=rule, run=run, count=count
                )
                await connection.execute(
                    row.on_conflict_do_update(
                        index_elements=["account_id", "hour", "rule", "run"],
                        set_={"count": count},
                    )
                )


async def refusals_of(
    connection: AsyncConnection, account_id: str, *, limit: int
) -> Sequence[RefusalCount]:
    """Return an account's refusals, newest hours first."""
    of = call_refusals.c
    rows = await connection.execute(
        sa.select(of.hour, of.rule, sa.func.sum(of.count))
        .where(of.account_id == account_id)
        .group_by(of.hour, of.rule)
        .order_by(of.hour.desc(), of.rule)
        .limit(limit)
    )
    return [RefusalCount(hour, rule, int(count)) for hour, rule, count in rows]


async def overrides_of(
    connection: AsyncConnection, account_id: str
) -> Mapping[Allowance, datetime]:
    """Return the rules lifted from an account -> until when, including expired ones."""
    of = rule_overrides.c
    rows = await connection.execute(
        sa.select(of.rule, of.until).where(of.account_id == account_id).order_by(of.rule)
    )
    known = {each.value: each for each in Allowance}
    # A rule of another release lifts nothing here.
    return {known[rule]: until for rule, until in rows if rule in known}


async def lift(
    connection: AsyncConnection, account_id: str, rule: Allowance, until: datetime
) -> None:
    """Lift a rule until a given time, replacing any earlier limit."""
    row = upsert(connection, rule_overrides).values(
        account_id=account_id, rule=rule.value, until=until
    )
    await connection.execute(
        row.on_conflict_do_update(index_elements=["account_id", "rule"], set_={"until": until})
    )


async def restore(connection: AsyncConnection, account_id: str, rule: Allowance) -> bool:
    """Put a rule back in force; False if it was not lifted."""
    of = rule_overrides.c
    ended = await connection.execute(
        sa.delete(rule_overrides)
        .where(of.account_id == account_id, of.rule == rule.value)
        .returning(of.rule)
    )
    return ended.scalar() is not None


async def erase_fraud_rows(connection: AsyncConnection, account_id: str) -> None:
    """Delete an account's rows from these tables."""
    for table in (rule_overrides, call_refusals):
        await connection.execute(sa.delete(table).where(table.c.account_id == account_id))
