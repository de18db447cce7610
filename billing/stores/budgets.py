"""Lists the kinds of budget, and where the book of record keeps their limits.

Reading the limits of a call, filling the spend gate's counters and auditing them all follow this
list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billing.spend_limits import Budget, Period, SpendLimits, holder_name
from billing.stores import tables


@dataclass(frozen=True, slots=True)
class BudgetKind:
    """One kind of budget: who holds it, and the column of its limit; NULL is no limit."""

    holder: str
    period: Period
    table: sa.Table
    """Of the holders."""
    limit: sa.Column[int]
    of_call: sa.Column[str]
    """Which holder a call belongs to."""

    @property
    def id(self) -> sa.Column[str]:
        """Names a holder."""
        return self.table.c.id

    @property
    def counted_from(self) -> sa.Column[datetime]:
        """From when on calls count under the budget; NULL for always."""
        return self.table.c.caps_counted_from

    @property
    def label(self) -> str:
        """Name of the limit in a row that holds those of several kinds."""
        return f"{self.holder}_{self.period.value}_limit_micros"

    @property
    def holders(self) -> sa.FromClause:
        """The holders with their accounts."""
        accounts = tables.accounts
        return accounts if self.table is accounts else self.table.join(accounts)

    @property
    def calls(self) -> sa.FromClause:
        """The calls with their holders and accounts."""
        calls = tables.calls.join(tables.accounts)
        if self.table is tables.accounts:
            return calls
        # An inner join: a call without a holder of this kind counts under none of its budgets.
        return calls.join(self.table, self.id == self.of_call)

    def holder_name(self, holder_id: str) -> str:
        """Name a holder as the spend gate does."""
        return holder_name(self.holder, holder_id)


BUDGETS = (
    BudgetKind(
        "account",
        Period.DAY,
        tables.accounts,
        tables.accounts.c.day_cap_micros,
        of_call=tables.calls.c.account_id,
    ),
    BudgetKind(
        "account",
        Period.MONTH,
        tables.accounts,
        tables.accounts.c.month_cap_micros,
        of_call=tables.calls.c.account_id,
    ),
    BudgetKind(
        "key",
        Period.DAY,
        tables.api_keys,
        tables.api_keys.c.day_cap_micros,
        of_call=tables.calls.c.key_id,
    ),
    BudgetKind(
        "key",
        Period.MONTH,
        tables.api_keys,
        tables.api_keys.c.month_cap_micros,
        of_call=tables.calls.c.key_id,
    ),
)
"""All kinds of budget, in the order in which a call's caps are named."""

HOLDERS = {kind.holder: kind for kind in BUDGETS}
"""One kind of budget of each kind of holder."""

CALL_LIMIT = tables.accounts.c.call_cap_micros.label("call_limit_micros")
"""Most that one call of an account may cost; NULL is no limit."""


def limit_columns(*holders: str) -> Sequence[sa.ColumnElement[Any]]:
    """Return the limits of these holders' budgets, as `limits_of` reads them."""
    return [kind.limit.label(kind.label) for kind in BUDGETS if kind.holder in holders]


def calls_with_holders() -> sa.FromClause:
    """Return the calls joined with their accounts, and with other holders as far as they exist."""
    joined = tables.calls.join(tables.accounts)
    for kind in HOLDERS.values():
        # An outer join: a call may be placed without a key, and a restored book may have lost the
        # key.
        if kind.table is not tables.accounts:
            joined = joined.outerjoin(kind.table, kind.id == kind.of_call)
    return joined


def limits_of(row: Mapping[Any, Any], **holder_ids: str) -> SpendLimits:
    """Return the limits that are in a row, given the id of each kind of holder."""
    budgets = (
        Budget(kind.holder_name(holder_ids[kind.holder]), kind.period, row[kind.label])
        for kind in BUDGETS
        # A query may have left out the columns of some holders (`limit_columns`): no limit then.
        if row.get(kind.label) is not None
    )
    return SpendLimits(row.get(CALL_LIMIT.name), tuple(budgets))
