"""Defines how old data may become.

Pure: takes the time as an argument. The data map has the periods that people are promised; here are
those that they are not told individually.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from typing import Final

UNPROVEN_KEPT: Final = timedelta(days=30)
"""How long an account with an unproven address is kept: ten times as long as its link works, and
the link can be sent again."""
EXPORT_KEPT: Final = timedelta(days=7)
"""How long an export can be fetched."""
EXPORT_NOTED: Final = timedelta(days=30)
"""How long it is known that an export existed."""


MAILS_KEPT: Final = timedelta(days=30)
"""How long sent and abandoned mails are kept, in case someone asks about one."""

DELIVERIES_KEPT: Final = timedelta(days=30)
"""How long the outcome of a webhook is kept; until then it can be sent again."""


def years_before(at: datetime, years: int) -> datetime:
    """Return the moment since which entries are kept for this many calendar years.

    A year counts from its end: § 147 (4) AO, § 257 (5) HGB.
    """
    return at.replace(at.year - years, 1, 1, 0, 0, 0, 0)


def months_before(at: datetime, months: int) -> datetime:
    """Return the same day some months earlier; the last day of a month that has no such day."""
    index = at.year * 12 + at.month - 1 - months
    year, month = index // 12, index % 12 + 1
    day = min(at.day, calendar.monthrange(year, month)[1])
    return at.replace(year=year, month=month, day=day)
