"""Reads from a URL which calls a page should list, and writes it into the URLs of links.

A URL never holds a whole number, because proxies log URLs: only a part that is shorter than any
number that can be dialled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, get_args
from urllib.parse import urlencode

from billing.cdr import CallFilter, EndedBy
from gateway.call.number import DIGITS_MIN
from gateway.calls.outcome import CallOutcome, causes_of

DIGITS_MAX: Final = DIGITS_MIN - 1
"""Most digits of a part of a number."""
OUTCOMES: Final = tuple(each for each in CallOutcome if each is not CallOutcome.LIVE)
ENDED_BY: Final[tuple[EndedBy, ...]] = get_args(EndedBy)
_CHARS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class CallQuery:
    """A form's fields as they were typed; empty for what was left out."""

    begin: str = ""
    """ISO 8601 date, in UTC."""
    end: str = ""
    """The same; this day is included."""
    number: str = ""
    outcome: str = ""
    ended_by: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it asks for all calls."""
        return self == CallQuery()

    def address(self, **more: str) -> str:
        """Return the query of a URL with the same filter, and `more`."""
        fields = {name: getattr(self, attribute) for name, attribute in _NAMES.items()}
        return urlencode({name: text for name, text in (fields | more).items() if text})


_NAMES: Final = {
    "from": "begin",
    "to": "end",
    "number": "number",
    "outcome": "outcome",
    "ended_by": "ended_by",
}


def read_query(given: Mapping[str, str]) -> CallQuery:
    """Return the filter in a URL's parameters."""
    fields = {
        attribute: given.get(name, "").strip()[:_CHARS_MAX] for name, attribute in _NAMES.items()
    }
    return CallQuery(**fields)


def filter_of(query: CallQuery) -> tuple[CallFilter, Mapping[str, str]]:
    """Return the filter, and field -> what is wrong with it; a wrong field filters nothing."""
    errors: dict[str, str] = {}
    begin, end = (_day(query.begin, "from", errors), _day(query.end, "to", errors))
    if begin is not None and end is not None and end < begin:
        errors["to"] = "dates_swapped"
    # Removes what people write between digits.
    digits = "".join(each for each in query.number if each not in " +-()./\u00a0")
    if not (digits.isascii() and digits.isdigit()) and query.number:
        errors["number"], digits = "digits_wrong", ""
    if len(digits) > DIGITS_MAX:
        errors["number"], digits = "digits_long", ""
    outcome = next((each for each in OUTCOMES if each == query.outcome), None)
    ended_by = next((each for each in ENDED_BY if each == query.ended_by), None)
    for field, typed, found in (
        ("outcome", query.outcome, outcome),
        ("ended_by", query.ended_by, ended_by),
    ):
        if typed and found is None:
            errors[field] = "choice_unknown"
    asked = CallFilter(
        since=begin,
        until=None if end is None else end + timedelta(days=1),
        digits=digits,
        answered=None if outcome is None else outcome is CallOutcome.ANSWERED,
        causes=frozenset() if outcome in (None, CallOutcome.ANSWERED) else causes_of(outcome),
        ended_by=ended_by,
    )
    return asked, errors


def _day(text: str, field: str, errors: dict[str, str]) -> datetime | None:
    """Return when a day begins; None if it is empty or invalid."""
    if not text:
        return None
    try:
        # `fromisoformat` also accepts other formats, which no form sends.
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        day = None
    # The last possible day has no next day on which it would end.
    if day is None or day.date() == date.max:
        errors[field] = "date_invalid"
        return None
    return day
