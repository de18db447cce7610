"""Decides when a button's owner is notified that 50, 80 or 100 % of a budget is used or held.

What was sent is a text that is stored with the button, such as `2026-11-28:80 2026-11:50`. Amounts
are micros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

SHARES: Final = (50, 80, 100)
"""Percentages of a budget at which its owner is notified."""
TOLD_CHARS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """How much of a budget its calls have cost or hold."""

    spent: int
    cap: int

    @property
    def share(self) -> int:
        """The highest of `SHARES` that is reached; 0 for none."""
        reached = (share for share in SHARES if self.spent * 100 >= self.cap * share)
        return max(reached, default=0)


@dataclass(frozen=True, slots=True)
class BudgetNews:
    """A notification for the owner."""

    period: str
    """`day` or `month`."""
    name: str
    """The name of that day or month, in UTC."""
    share: int
    cap: int


def news_of(
    told: str, at: datetime, budgets: Mapping[str, BudgetUse]
) -> tuple[Sequence[BudgetNews], str]:
    """Return what to send about the budgets of a moment's day and month, and the new `told`.

    Of several shares that were passed at once only the highest is sent.
    """
    day = at.astimezone(UTC).date().isoformat()
    names = {"day": day, "month": day[:7]}
    shares = _read(told)
    news = [
        BudgetNews(period, names[period], used.share, used.cap)
        for period, used in budgets.items()
        if used.share > shares.get(names[period], 0)
    ]
    # Periods that are over are dropped.
    kept = {name: shares[name] for name in names.values() if name in shares}
    kept.update({each.name: each.share for each in news})
    return news, " ".join(f"{name}:{share}" for name, share in sorted(kept.items()))


def _read(told: str) -> dict[str, int]:
    pairs = (word.rpartition(":") for word in told.split())
    return {name: int(share) for name, _, share in pairs if share.isascii() and share.isdigit()}
