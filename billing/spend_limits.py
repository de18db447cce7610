"""Spending limits: the most that one call may cost, and budgets that calls share for a period.

Made where an account and its key are read, and carried whole in a call's order to the spend gate,
which counts what the calls of each budget cost. Knows no store and no price.
Periods are those of UTC; limits are micros.
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
        """Return when the period that a moment is in began."""
        midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if self is Period.DAY else midnight.replace(day=1)


class Budget(msgspec.Struct, frozen=True):
    """What the calls of an account, or of a key, may cost together in each period."""

    holder: str
    """Whose it is: `account:…` or `key:…`, with the id."""
    period: Period
    limit_micros: int


class SpendLimits(msgspec.Struct, frozen=True):
    """All that bounds what a call may cost besides the balance."""

    call_micros: int | None = None
    """Most that the call itself may cost; None for no limit."""
    budgets: tuple[Budget, ...] = ()

    def caps(self, at: datetime) -> tuple[SpendCap, ...]:
        """Return the caps that hold at a moment, and until its day ends."""
        return tuple(
            SpendCap(cap_name(budget.holder, budget.period, at), budget.limit_micros)
            for budget in self.budgets
        )


UNLIMITED = SpendLimits()


def cap_name(holder: str, period: Period, at: datetime) -> str:
    """Name what a holder spends in the period of a moment.

    The period is part of the name, so that no counter has to be reset.
    """
    date = period.start(at).date().isoformat()
    return f"{holder}:{period.value}:{date if period is Period.DAY else date[:7]}"


def day_left(at: datetime) -> timedelta:
    """Return how long the day of a moment still lasts: until then its caps hold."""
    return Period.DAY.start(at) + timedelta(days=1) - at
