"""Which spend caps hold for a call: names for what an account or a key spends in a day or a month.

The period is part of a cap's name, so that nothing has to be reset. Knows no store and no price.
Periods are those of UTC; limits are micros, None for no cap.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from billing.ports import SpendCap


def caps_of(
    account_id: str,
    *,
    day_cap_micros: int | None,
    month_cap_micros: int | None,
    key_id: str,
    key_day_cap_micros: int | None,
    at: datetime,
) -> tuple[SpendCap, ...]:
    """Return the caps of a call at a moment; `key_id` is empty for a call without a key."""
    limits = (
        (account_day(account_id, at), day_cap_micros),
        (account_month(account_id, at), month_cap_micros),
        (key_day(key_id, at), key_day_cap_micros if key_id else None),
    )
    return tuple(SpendCap(name, limit) for name, limit in limits if limit is not None)


def account_day(account_id: str, at: datetime) -> str:
    """Name what an account spends on a day."""
    return f"account:{account_id}:day:{at.astimezone(UTC):%Y-%m-%d}"


def account_month(account_id: str, at: datetime) -> str:
    """Name what an account spends in a month."""
    return f"account:{account_id}:month:{at.astimezone(UTC):%Y-%m}"


def key_day(key_id: str, at: datetime) -> str:
    """Name what the calls of a key spend on a day."""
    return f"key:{key_id}:day:{at.astimezone(UTC):%Y-%m-%d}"


def day_left(at: datetime) -> timedelta:
    """Return how long the day of a moment still lasts: until then its caps hold."""
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1) - at
