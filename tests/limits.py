"""Spending limits as tests write them: micros by the name of each kind."""

from __future__ import annotations

from billing.spend_limits import Budget, Period, SpendLimits


def limits(
    account_id: str = "alice",
    *,
    call: int | None = None,
    day: int | None = None,
    month: int | None = None,
    key_id: str = "k1",
    key_day: int | None = None,
) -> SpendLimits:
    """Return the limits of a call of an account, placed with a key."""
    kinds = (
        (f"account:{account_id}", Period.DAY, day),
        (f"account:{account_id}", Period.MONTH, month),
        (f"key:{key_id}", Period.DAY, key_day),
    )
    budgets = (
        Budget(whose, period, micros) for whose, period, micros in kinds if micros is not None
    )
    return SpendLimits(call, tuple(budgets))
