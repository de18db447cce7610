"""Says from when on data are too old to be kept.

Pure: time is an argument. The periods that people are promised are those of the data map; here are
those of what nobody is told of kind by kind. Knows no store.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from typing import Final

UNPROVEN_KEPT: Final = timedelta(days=30)
"""How long an account is kept whose address nobody has proven: ten times as long as its link works,
and it can be sent anew."""
EXPORT_KEPT: Final = timedelta(days=7)
"""How long an export can be fetched."""
EXPORT_NOTED: Final = timedelta(days=30)
"""How long it is known that there was one."""


MAILS_KEPT: Final = timedelta(days=30)
"""How long mails that were sent or abandoned are kept: somebody may ask what became of one."""

DELIVERIES_KEPT: Final = timedelta(days=30)
"""How long it is kept what became of a webhook; until then it can be sent again."""


def years_before(at: datetime, years: int) -> datetime:
    """Return since when entries are kept for so many years of the calendar.

    A year counts from its end: § 147 (4) AO, § 257 (5) HGB.
    """
    return at.replace(at.year - years, 1, 1, 0, 0, 0, 0)


def months_before(at: datetime, months: int) -> datetime:
    """Return the same day some months earlier; the last of a month that has no such day."""
    index = at.year * 12 + at.month - 1 - months
    year, month = index // 12, index % 12 + 1
    day = min(at.day, calendar.monthrange(year, month)[1])
    return at.replace(year=year, month=month, day=day)
