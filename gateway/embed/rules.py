"""Defines the rules of a button: where it is shown, when and how much it may call, their faults.

A fault is a code for each field that is wrong; forms have the sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from zoneinfo import ZoneInfoNotFoundError

import msgspec

from gateway.embed.hours import (
    HOLIDAYS_MAX,
    MINUTES_A_DAY,
    SPANS_A_DAY_MAX,
    OpeningHours,
    Span,
    zone_of,
)
from gateway.embed.origins import OriginError, parse_origin
from gateway.shown_name import NameFault, fault_of

ORIGINS_MAX: Final = 20
TITLE_CHARS_MAX: Final = 60
SECONDS_MIN: Final = 10
SECONDS_DEFAULT: Final = 300
CALLS_AT_ONCE_MAX: Final = 100
AMOUNT_MAX: Final = 100_000
DAY_CAP_DEFAULT: Final = 5
MONTH_CAP_DEFAULT: Final = 50
"""In whole units of the account's currency: little enough to lose, but enough for real callers."""
MICROS_MAX: Final = 10**12
"""A million units: more than any button spends, and exact in every store."""
_TITLE_FAULTS: Final = {
    NameFault.NEEDED: "title_needed",
    NameFault.HIDDEN: "characters_hidden",
    NameFault.LONG: "title_long",
}


class CallAllowance(msgspec.Struct, frozen=True):
    """How many calls may begin, within an hour and within a day."""

    visitor_hour: int = 3
    """Of one visitor: one address (in IPv6 its /64), or the name from the owner's back end."""
    visitor_day: int = 9
    network_hour: int = 20
    """Of one network, /24 or /48: an office, or a rented range."""
    network_day: int = 60
    button_hour: int = 100
    """Of all visitors together."""
    button_day: int = 500


class ButtonRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a button may do."""

    title: str
    """What visitors read: who answers, such as "Sales of Example"."""
    origins: tuple[str, ...] = ()
    """Origins of the pages that may show it, as `parse_origin` writes them; none: only our own
    page."""
    destination: str = ""
    """E.164, proven to be its owner's; empty: the owner's back end signs each call's."""
    hours: OpeningHours = OpeningHours()
    seconds_max: int = SECONDS_DEFAULT
    """Of one call."""
    calls_at_once: int = 2
    amounts: CallAllowance = CallAllowance()
    day_cap_micros: int | None = None
    """The most that its calls may cost in one UTC day; None for no cap of its own."""
    month_cap_micros: int | None = None

    @property
    def is_signed(self) -> bool:
        """Whether each call's destination is signed by its owner's back end."""
        return not self.destination


def tidied(rules: ButtonRules) -> ButtonRules:
    """Return rules as they are stored: origins normalised and unique; faults remain in them."""
    origins = dict.fromkeys(_origin_or_text(text) for text in rules.origins if text.strip())
    return msgspec.structs.replace(
        rules,
        title=" ".join(rules.title.split()),
        origins=tuple(origins),
        hours=msgspec.structs.replace(
            rules.hours,
            week=tuple(tuple(sorted(day, key=lambda span: span.start)) for day in rules.hours.week),
            holidays=tuple(sorted(set(rules.hours.holidays))),
        ),
    )


def faults(rules: ButtonRules, *, call_seconds_max: int) -> Mapping[str, str]:
    """Return the faults: field -> code; empty if there are none.

    `call_seconds_max` is how long any call of this gateway may last.
    """
    return dict(_faults(rules, call_seconds_max))


def _faults(rules: ButtonRules, call_seconds_max: int) -> Iterator[tuple[str, str]]:
    if (fault := fault_of(rules.title, TITLE_CHARS_MAX)) is not None:
        yield "title", _TITLE_FAULTS[fault]
    if (word := _origins_fault(rules.origins)) is not None:
        yield "origins", word
    yield from _hours_faults(rules.hours)
    if not SECONDS_MIN <= rules.seconds_max <= call_seconds_max:
        yield "seconds_max", "seconds_range"
    if not 1 <= rules.calls_at_once <= CALLS_AT_ONCE_MAX:
        yield "calls_at_once", "calls_at_once_range"
    amounts = msgspec.structs.asdict(rules.amounts)
    for name, amount in amounts.items():
        if not 1 <= amount <= AMOUNT_MAX:
            yield name, "amount_range"
        # An hour's amount above the day's can never be reached, so it must be a typing error.
        elif name.endswith("_hour") and amount > amounts[name.replace("_hour", "_day")]:
            yield name, "amount_above_day"
    yield from _cap_faults(rules)


def _origins_fault(origins: tuple[str, ...]) -> str | None:
    if len(origins) > ORIGINS_MAX:
        return "origins_too_many"
    for origin in origins:
        try:
            parse_origin(origin)
        except OriginError as error:
            return error.code
    return None


def _hours_faults(hours: OpeningHours) -> Iterator[tuple[str, str]]:
    try:
        zone_of(hours.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield "zone", "zone_unknown"
    if len(hours.week) != 7 or not all(map(_is_day, hours.week)):
        yield "week", "hours_invalid"
    if len(hours.holidays) > HOLIDAYS_MAX:
        yield "holidays", "holidays_too_many"


def _is_day(day: tuple[Span, ...]) -> bool:
    """Return whether the spans of a day are valid, in order, and do not overlap."""
    ends = 0
    for span in day:
        if not ends <= span.start < span.end <= MINUTES_A_DAY:
            return False
        ends = span.end
    return len(day) <= SPANS_A_DAY_MAX


def _cap_faults(rules: ButtonRules) -> Iterator[tuple[str, str]]:
    day, month = rules.day_cap_micros, rules.month_cap_micros
    for name, cap in (("day_cap", day), ("month_cap", month)):
        if cap is not None and not 0 < cap <= MICROS_MAX:
            yield name, "cap_range"
    if day is not None and month is not None and day > month:
        yield "day_cap", "cap_above_month"
    # Otherwise someone who copies the page's key could spend all of the credit.
    if day is None and month is None:
        yield "day_cap", "cap_needed"


def _origin_or_text(text: str) -> str:
    try:
        return parse_origin(text)
    except OriginError:
        return text.strip()
