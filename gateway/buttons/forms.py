"""Turns the form of a button into its rules, and rules into a form.

Values that are not a number, a day or opening hours are reported here, with their line;
`embed.rules` reports what the rules themselves forbid.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import msgspec

from gateway.buttons.opening_hours import parse_day, write_day
from gateway.embed.hours import ALWAYS, OpeningHours, Span
from gateway.embed.origins import OriginError, parse_origin
from gateway.embed.rules import DAY_CAP_DEFAULT, MONTH_CAP_DEFAULT, ButtonRules
from gateway.http.site.amounts import parse_amount, typed
from gateway.http.site.forms import Line, Lines

SIGNED: Final = "signed"
"""Instead of a number: the owner's back end names it for each call."""
WEEK: Final = "week"
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
AMOUNTS: Final = ("visitor_hour", "visitor_day", "button_hour", "button_day")
"""The amounts that the form has; others stay unchanged."""
SHOWN_CHARS_MAX: Final = 80
"""How much of a wrong line is shown."""

_OFFICE: Final = (Span(9 * 60, 17 * 60),)
_OFFICE_WEEK: Final = (_OFFICE,) * 5 + ((),) * 2
"""What is proposed to someone who turns opening hours on."""
_UNIT: Final = 10**6

NEW: Final = ButtonRules(
    title="", day_cap_micros=DAY_CAP_DEFAULT * _UNIT, month_cap_micros=MONTH_CAP_DEFAULT * _UNIT
)
"""The defaults of a form, the same as of a button that a program creates."""


class ButtonFields(msgspec.Struct):
    """The form of a button; `button_forms` converts the fields that are not text."""

    once: Line = ""
    """Created with the form: the same form sent twice creates one button."""
    label: Line = ""
    title: Line = ""
    origins: Lines = ""
    """One per line."""
    destination: Line = ""
    """E.164, or `SIGNED`."""
    opens: Line = "always"
    """`always` or `week`."""
    zone: Line = ""
    monday: Line = ""
    tuesday: Line = ""
    wednesday: Line = ""
    thursday: Line = ""
    friday: Line = ""
    saturday: Line = ""
    sunday: Line = ""
    holidays: Lines = ""
    """One per line."""
    seconds_max: Line = ""
    calls_at_once: Line = ""
    visitor_hour: Line = ""
    visitor_day: Line = ""
    button_hour: Line = ""
    button_day: Line = ""
    day_cap: Line = ""
    month_cap: Line = ""


class TurnFields(msgspec.Struct):
    """The form that replaces a button's live key."""

    once: Line = ""
    days: Line = ""


@dataclass(frozen=True, slots=True)
class ReadForm:
    """What someone has typed."""

    label: str
    rules: ButtonRules
    errors: dict[str, str] = field(default_factory=dict)
    """Field -> what is wrong with it."""
    wrong_lines: dict[str, str] = field(default_factory=dict)
    """Field -> the line in it that is wrong, with its number."""


def read(fields: ButtonFields, kept: ButtonRules) -> ReadForm:
    """Return the content of a form; what the form does not contain stays as in `kept`."""
    errors: dict[str, str] = {}
    lines: dict[str, str] = {}
    if not fields.destination:
        errors["destination"] = "destination_needed"
    origins = fields.origins.splitlines()
    # The rules say what is wrong; this only says where.
    _first_wrong(origins, _origin_fault, "origins", {}, lines)
    holidays = fields.holidays.splitlines()
    _first_wrong(holidays, _holiday_fault, "holidays", errors, lines)
    week = ALWAYS
    if fields.opens == WEEK:
        days = [parse_day(getattr(fields, day)) for day in DAYS]
        errors |= {
            name: "hours_invalid" for name, day in zip(DAYS, days, strict=True) if day is None
        }
        week = tuple(day or () for day in days)
    caps = {"day_cap": fields.day_cap.strip(), "month_cap": fields.month_cap.strip()}
    micros = {name: parse_amount(text) if text else None for name, text in caps.items()}
    errors |= {name: "amount_invalid" for name, text in caps.items() if text and not micros[name]}
    rules = ButtonRules(
        title=fields.title,
        origins=tuple(origins),
        destination="" if fields.destination == SIGNED else fields.destination,
        hours=OpeningHours(
            zone=fields.zone.strip(),
            week=week,
            holidays=tuple(day for text in holidays if (day := _date(text)) is not None),
        ),
        seconds_max=_count(fields.seconds_max),
        calls_at_once=_count(fields.calls_at_once),
        amounts=msgspec.structs.replace(
            kept.amounts, **{name: _count(getattr(fields, name)) for name in AMOUNTS}
        ),
        day_cap_micros=micros["day_cap"],
        month_cap_micros=micros["month_cap"],
    )
    return ReadForm(fields.label, rules, errors, lines)


def written(
    label: str, rules: ButtonRules, *, once: str = "", is_new: bool = False
) -> ButtonFields:
    """Return the form that shows rules; for a new button no destination is chosen."""
    hours = rules.hours
    is_always = hours.week == ALWAYS
    days = _OFFICE_WEEK if is_always else hours.week
    return ButtonFields(
        once=once,
        label=label,
        title=rules.title,
        origins="\n".join(rules.origins),
        destination=rules.destination or ("" if is_new else SIGNED),
        opens="always" if is_always else WEEK,
        zone=hours.zone,
        **{name: write_day(day) for name, day in zip(DAYS, days, strict=True)},
        holidays="\n".join(day.isoformat() for day in hours.holidays),
        seconds_max=str(rules.seconds_max),
        calls_at_once=str(rules.calls_at_once),
        **{name: str(getattr(rules.amounts, name)) for name in AMOUNTS},
        day_cap=typed(rules.day_cap_micros or 0),
        month_cap=typed(rules.month_cap_micros or 0),
    )


def _first_wrong(
    lines: list[str],
    fault_of: Callable[[str], str],
    name: str,
    errors: dict[str, str],
    wrong_lines: dict[str, str],
) -> None:
    """Note the first line of a field that has a fault, and the fault."""
    for number, line in enumerate(lines, 1):
        if line.strip() and (fault := fault_of(line)):
            errors[name] = fault
            wrong_lines[name] = f"{number}: {line.strip()[:SHOWN_CHARS_MAX]}"
            return


def _origin_fault(text: str) -> str:
    try:
        parse_origin(text)
    except OriginError as error:
        return error.code
    return ""


def _holiday_fault(text: str) -> str:
    return "" if _date(text) is not None else "date_invalid"


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def _count(text: str) -> int:
    """Return a number as typed; for anything else a number that no rule allows."""
    return int(text) if re.fullmatch(r"\s*[0-9]{1,9}\s*", text, re.ASCII) else -1
