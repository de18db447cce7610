"""Reads from SQL what operators monitor across accounts: refusals, freezes, spent credit.

Everything is bounded, found by indexes, and identifies accounts only by their ids; a single call,
requested by its id, includes its number. Read-only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.cdr import CallRecord
from billing.clock import Clock, utc_now
from billing.stores import tables
from billing.stores.call_rows import record_in
from billing.stores.freezes import is_used
from database.engine import TIMEOUT_S, reading
from gateway.stores.fraud import call_refusals
from gateway.watching.fraud_report import (
    ACCOUNTS_MAX,
    RULES_MAX,
    FraudReport,
    FrozenAccount,
    RefusedAccount,
    RefusingRule,
)

_IDS_AT_ONCE: Final = 1000
"""Parameters per statement: both databases accept many more."""
_COUNTS_MAX: Final = 500_000
"""Counts of refusals, by account, hour and rule, that are added up; the oldest are left out."""
_CALLS_MAX: Final = 50_000
"""Cut-off calls that are counted; the oldest are left out."""
_HOUR: Final = timedelta(hours=1)
_OF, _FREEZES, _ACCOUNTS = call_refusals.c, tables.freezes.c, tables.accounts.c


@dataclass(frozen=True, slots=True)
class CutOffCalls:
    """Calls of an account that ended because its credit was used up."""

    account_id: str
    calls: int
    last_at: datetime


class SqlOperatorReports:
    """`gateway.watching.report_api.Reports` in SQLite or PostgreSQL.

    Every method raises StoreUnavailableError.
    """

    def __init__(
        self, engine: AsyncEngine, *, clock: Clock = utc_now, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._timeout_s = timeout_s

    async def fraud(self, hours: int) -> FraudReport:
        """Return the report of the current hour and those before it, `hours` in all."""
        at = self._clock()
        since = at.replace(minute=0, second=0, microsecond=0) - (hours - 1) * _HOUR
        # Another node's clock that is ahead may have written future hours.
        within = sa.and_(_OF.hour >= since, _OF.hour < since + hours * _HOUR)
        seen = _counts(within)
        async with reading(self._engine, self._timeout_s) as connection:
            accounts, accounts_total = await _refused(connection, seen, within)
            frozen, frozen_total = await _frozen(connection)
            return FraudReport(
                at=at,
                since=since,
                rules=await _rules(connection, seen, since, hours),
                accounts=accounts,
                accounts_total=accounts_total,
                frozen=frozen,
                frozen_total=frozen_total,
            )

    async def balances(self, account_ids: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """Return account id -> currency and balance in micros; unknown accounts are left out.

        From the book, which follows the spend gate within seconds; holds of live calls are
        deducted.
        """
        found: dict[str, tuple[str, int]] = {}
        async with reading(self._engine, self._timeout_s) as connection:
            for begin in range(0, len(account_ids), _IDS_AT_ONCE):
                some = account_ids[begin : begin + _IDS_AT_ONCE]
                rows = await connection.execute(
                    sa.select(_ACCOUNTS.id, _ACCOUNTS.currency, _ACCOUNTS.balance_micros).where(
                        _ACCOUNTS.id.in_(some)
                    )
                )
                found |= {each: (currency, micros) for each, currency, micros in rows}
        return found

    async def call(self, call_id: str) -> CallRecord | None:
        """Return a call that has ended and may be used; None for any other."""
        calls = tables.calls.c
        is_whole = sa.and_(calls.closed, calls.opened, calls.forgotten_at.is_(None))
        query = sa.select(tables.calls).where(
            calls.id == call_id, is_whole, is_used(calls.account_id)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else record_in(row)

    async def cut_off(self, hours: int) -> tuple[Sequence[CutOffCalls], int]:
        """Return whose calls ended because credit ran out, most calls first, and how many.

        At most ACCOUNTS_MAX are listed.
        """
        calls = tables.calls.c
        seen = (
            sa.select(calls.account_id, calls.ended_at)
            .where(
                # A literal, so that the database recognises the condition of `ix_calls_cut_off`.
                calls.ended_by == sa.literal_column("'credit'"),
                calls.ended_at >= self._clock() - hours * _HOUR,
                is_used(calls.account_id),
            )
            .order_by(calls.ended_at.desc())
            .limit(_CALLS_MAX)
            .subquery()
        )
        count, last = sa.func.count(), sa.func.max(seen.c.ended_at)
        query = (
            sa.select(seen.c.account_id, count, last, sa.func.count().over())
            .group_by(seen.c.account_id)
            .order_by(count.desc(), seen.c.account_id)
            .limit(ACCOUNTS_MAX)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            rows = (await connection.execute(query)).all()
        total = rows[0][3] if rows else 0
        return [CutOffCalls(each, count, last) for each, count, last, _ in rows], total


def _counts(within: sa.ColumnElement[bool]) -> sa.Subquery:
    """Return the newest counts of refusals.

    With grouping in the same statement, SQLite would read those of all times, account by account.
    """
    return (
        sa.select(_OF.account_id, _OF.hour, _OF.rule, _OF.count)
        .where(within)
        .order_by(_OF.hour.desc())
        .limit(_COUNTS_MAX)
        .subquery()
    )


async def _rules(
    connection: AsyncConnection, counts: sa.Subquery, since: datetime, hours: int
) -> Sequence[RefusingRule]:
    """Return the rules; sums name no one, so accounts restricted in use are included."""
    of = counts.c
    by_hour: dict[str, list[int]] = defaultdict(lambda: [0] * hours)
    # There are only as many rules as the releases of one day have names for.
    rows = await connection.execute(
        sa.select(of.rule, of.hour, sa.func.sum(of.count)).group_by(of.rule, of.hour)
    )
    for rule, hour, count in rows:
        by_hour[rule][(hour - since) // _HOUR] = int(count)
    most = sorted(by_hour, key=lambda rule: (-sum(by_hour[rule]), rule))[:RULES_MAX]
    accounts = await connection.execute(
        sa.select(of.rule, sa.func.count(of.account_id.distinct()))
        .where(of.rule.in_(most))
        .group_by(of.rule)
    )
    # Without those whose accounts were erased since.
    refused: dict[str, int] = dict(accounts.all())
    return [
        RefusingRule(
            rule=rule,
            count=sum(by_hour[rule]),
            by_hour=by_hour[rule],
            accounts=refused.get(rule, 0),
        )
        for rule in most
    ]


async def _refused(
    connection: AsyncConnection, counts: sa.Subquery, within: sa.ColumnElement[bool]
) -> tuple[Sequence[RefusedAccount], int]:
    of = counts.c
    total = sa.func.sum(of.count)
    query = (
        sa.select(of.account_id, total, sa.func.max(of.hour), sa.func.count().over())
        .where(is_used(of.account_id))
        .group_by(of.account_id)
        .order_by(total.desc(), of.account_id)
        .limit(ACCOUNTS_MAX)
    )
    rows = (await connection.execute(query)).all()
    by_rule: dict[str, dict[str, int]] = defaultdict(dict)
    each_total = sa.func.sum(_OF.count)
    for account_id, rule, count in await connection.execute(
        sa.select(_OF.account_id, _OF.rule, each_total)
        .where(within, _OF.account_id.in_([row[0] for row in rows]))
        .group_by(_OF.account_id, _OF.rule)
        .order_by(each_total.desc(), _OF.rule)
    ):
        by_rule[account_id][rule] = int(count)
    accounts = [
        RefusedAccount(
            account_id=account_id,
            count=int(count),
            rules=by_rule[account_id],
            last_hour=last_hour,
        )
        for account_id, count, last_hour, _ in rows
    ]
    return accounts, rows[0][3] if rows else 0


async def _frozen(connection: AsyncConnection) -> tuple[Sequence[FrozenAccount], int]:
    is_there = sa.and_(_ACCOUNTS.id == _FREEZES.account_id, _ACCOUNTS.deleted_at.is_(None))
    joined = tables.freezes.join(tables.accounts, is_there)
    newest = await connection.scalars(
        sa.select(_FREEZES.account_id)
        .select_from(joined)
        .order_by(_FREEZES.at.desc(), _FREEZES.account_id)
        .limit(ACCOUNTS_MAX)
    )
    # An account frozen for several reasons comes several times.
    reasons: dict[str, list[str]] = {each: [] for each in newest}
    since: dict[str, datetime] = {}
    for account_id, reason, at in await connection.execute(
        sa.select(_FREEZES.account_id, _FREEZES.reason, _FREEZES.at)
        .where(_FREEZES.account_id.in_(reasons))
        .order_by(_FREEZES.at, _FREEZES.reason)
    ):
        reasons[account_id].append(reason)
        since[account_id] = at
    total = sa.select(sa.func.count(_FREEZES.account_id.distinct())).select_from(joined)
    listed = [
        FrozenAccount(account_id=each, reasons=why, since=since[each])
        for each, why in reasons.items()
        # Skipped if it was released since it was listed.
        if why
    ]
    return listed, int(await connection.scalar(total) or 0)
