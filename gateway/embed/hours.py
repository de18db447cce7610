"""Tells when a button takes calls: a week of opening hours in one time zone, and holidays.

Hours are local time, across daylight saving changes too. Pure: takes the time as an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

MINUTES_A_DAY: Final = 1_440
SPANS_A_DAY_MAX: Final = 4
HOLIDAYS_MAX: Final = 64
LOOK_AHEAD_DAYS: Final = 400
"""How far ahead the next opening is looked for: beyond a whole year of holidays."""


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A part of a day, in minutes from midnight."""

    start: int
    end: int
    """Exclusive; at most `MINUTES_A_DAY`."""


Week = tuple[tuple[Span, ...], ...]
"""The spans of each of the seven days, Monday first; a day without any is closed."""

ALWAYS: Final[Week] = ((Span(0, MINUTES_A_DAY),),) * 7


class OpeningHours(msgspec.Struct, frozen=True):
    """When a button is open."""

    zone: str = "UTC"
    """An IANA time zone, such as Europe/Berlin."""
    week: Week = ALWAYS
    holidays: tuple[date, ...] = ()
    """Dates, in the zone, on which it is closed regardless of the week."""

    def is_open(self, at: datetime) -> bool:
        """Return whether it is open at a moment."""
        local = at.astimezone(zone_of(self.zone))
        minute = local.hour * 60 + local.minute
        return any(span.start <= minute < span.end for span in self._spans(local.date()))

    def next_opening(self, at: datetime) -> datetime | None:
        """Return when it next opens, in UTC to the minute; None if it does not.

        The moment itself if it is open then.
        """
        if self.is_open(at):
            return at.astimezone(UTC)
        zone = zone_of(self.zone)
        today = at.astimezone(zone).date()
        for days in range(LOOK_AHEAD_DAYS):
            day = today + timedelta(days=days)
            openings = (
                moment
                for span in self._spans(day)
                for moment in _moments(day, span.start, zone)
                if moment > at and self.is_open(moment)
            )
            if (first := min(openings, default=None)) is not None:
                return first
        return None

    def _spans(self, day: date) -> tuple[Span, ...]:
        return () if day in self.holidays else self.week[day.weekday()]


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone. Raises ZoneInfoNotFoundError, ValueError for an unknown name."""
    return ZoneInfo(name)


def _moments(day: date, minute: int, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the moments at which a minute of a day begins in local time.

    Two if the clock is set back over it. If it is set forward over it, each minute of the real time
    in between: the span begins at the first of them that is in it.
    """
    wall = datetime.combine(day, time(minute // 60, minute % 60))
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        yield from {first, second}
        return
    # PEP 495: in a gap, fold 0 uses the offset before it, and gives the later moment.
    while second <= first:
        yield second
        second += timedelta(minutes=1)
