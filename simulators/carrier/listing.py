"""Filters calls for a list request by party, status and time. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from simulators.carrier import errors
from simulators.carrier.calls import NS_PER_S, Call, Status
from simulators.carrier.errors import RestError
from simulators.carrier.resources import PageRequest

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 1000
_FILTERS: Final = (
    "To",
    "From",
    "ParentCallSid",
    "Status",
    *(f"{field}{sign}" for field in ("StartTime", "EndTime") for sign in ("", "<", ">")),
)

Span = tuple[int, int]
"""Epoch nanoseconds: first, and first no more."""


@dataclass(frozen=True, slots=True)
class CallFilter:
    """A list request's conditions; all must hold."""

    query: Mapping[str, str]
    """The conditions as they came, to be repeated in the links to other pages."""
    start: Span
    end: Span

    def admits(self, call: Call) -> bool:
        """Return whether the call is wanted."""
        query = self.query
        return (
            query.get("To", call.to) == call.to
            and query.get("From", call.from_) == call.from_
            and query.get("Status", _rest_status(call)) == _rest_status(call)
            # No call here has a parent, so that a list by parent is empty.
            and "ParentCallSid" not in query
            and _within(call.initiated_at_ns, self.start)
            and _within(call.ended_at_ns, self.end)
        )


_ALWAYS: Final[Span] = (0, 1 << 64)


def read_filter(query: Mapping[str, str]) -> CallFilter:
    """Return the conditions in a query.

    Raises:
        RestError: a time is not one.
    """
    kept = {name: query[name] for name in _FILTERS if query.get(name)}
    return CallFilter(kept, _span(kept, "StartTime"), _span(kept, "EndTime"))


def read_page(query: Mapping[str, str]) -> PageRequest:
    """Return the page in a query.

    Raises:
        RestError: a number is not one.
    """
    size = _integer(query, "PageSize", PAGE_SIZE_DEFAULT)
    return PageRequest(min(max(size, 1), PAGE_SIZE_MAX), _integer(query, "Page", 0))


def _rest_status(call: Call) -> str:
    return Status.QUEUED if call.status is Status.INITIATED else call.status


def _within(at_ns: int | None, span: Span) -> bool:
    # A call that has no such time is found only when nothing is asked about it.
    return span == _ALWAYS if at_ns is None else span[0] <= at_ns < span[1]


def _span(query: Mapping[str, str], field: str) -> Span:
    first, last = _ALWAYS
    if value := query.get(field):
        first, last = _moment(field, value)
    # `StartTime>=2026-11-01` arrives as a field called `StartTime>`: both bounds are inclusive.
    if value := query.get(f"{field}>"):
        first = max(first, _moment(field, value)[0])
    if value := query.get(f"{field}<"):
        last = min(last, _moment(field, value)[1])
    return first, last


def _moment(field: str, text: str) -> Span:
    """Return the day or the second that a time names."""
    try:
        if len(text) == 10:
            start = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            length = timedelta(days=1)
        else:
            start, length = datetime.fromisoformat(text), timedelta(seconds=1)
            # Twilio's times are UTC; one without an offset must not be read in the machine's zone.
            start = start if start.tzinfo else start.replace(tzinfo=UTC)
        first = int(start.timestamp()) * NS_PER_S
        return first, first + int(length.total_seconds()) * NS_PER_S
    except (ValueError, OverflowError) as error:
        raise RestError(errors.INVALID_PARAMETER, field) from error


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise RestError(errors.INVALID_PARAMETER, name)
    return int(text)
