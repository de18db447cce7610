"""Defines spending limits: the most one call may cost, and budgets shared by calls for a period.

Created where an account and its key are read, and carried with a call's order to the spend gate,
which counts what the calls of each budget cost. Periods are UTC; limits are micros.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum

import msgspec

from billing.ports import SpendCap


class Period(Enum):
    """How long a budget lasts before the next one begins."""

    DAY = "day"
    MONTH = "month"

    def start(self, at: datetime) -> datetime:
        """Return the start of the period that contains a moment."""
        # In UTC whatever the zone of `at`: all nodes must give one period one name.
        midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if self is Period.DAY else midnight.replace(day=1)


def holder_name(kind: str, holder_id: str) -> str:
    """Name the owner of a budget, an `account` or a `key`, as the spend gate does."""
    return f"{kind}:{holder_id}"


class Budget(msgspec.Struct, frozen=True):
    """What the calls of an account, or of a key, may cost together in each period."""

    holder: str
    """The owner, by its `holder_name`."""
    period: Period
    limit_micros: int


class SpendLimits(msgspec.Struct, frozen=True):
    """All bounds on the cost of a call besides the balance."""

    call_micros: int | None = None
    """Most that the call itself may cost; None for no limit."""
    budgets: tuple[Budget, ...] = ()

    def caps(self, at: datetime) -> tuple[SpendCap, ...]:
        """Return the caps in force at a moment and until its day ends."""
        return tuple(
            SpendCap(cap_name(budget.holder, budget.period, at), budget.limit_micros)
            for budget in self.budgets
        )

    def within(self, others: SpendLimits) -> SpendLimits:
        """Return limits that keep to both: of each bound the smaller."""
        calls = [each for each in (self.call_micros, others.call_micros) if each is not None]
        least: dict[tuple[str, Period], int] = {}
        for budget in (*self.budgets, *others.budgets):
            of = budget.holder, budget.period
            least[of] = min(budget.limit_micros, least.get(of, budget.limit_micros))
        budgets = (Budget(*of, limit_micros) for of, limit_micros in least.items())
        return SpendLimits(min(calls, default=None), tuple(budgets))


UNLIMITED = SpendLimits()


def cap_name(holder: str, period: Period, at: datetime) -> str:
    """Return the name of a holder's cap in the period of a moment.

    The period is part of the name, so that no counter has to be reset.
    """
    # A month's period starts on its first day, so that YYYY-MM identifies it.
    date = period.start(at).date().isoformat()
    return f"{holder}:{period.value}:{date if period is Period.DAY else date[:7]}"


def day_left(at: datetime) -> timedelta:
    """Return how much of a moment's day is left: until its end the caps hold."""
    # A month ends with a day too, so no cap outlives the day.
    return Period.DAY.start(at) + timedelta(days=1) - at
