"""The form of a button: what is read of it, and how rules are written into one."""

from datetime import date

import msgspec
import pytest

from gateway.buttons.forms import NEW, SHOWN_CHARS_MAX, SIGNED, read, written
from gateway.embed.hours import ALWAYS, OpeningHours, Span
from gateway.embed.rules import CallAllowance, faults
from tests.gateway.buttons.button_books import NUMBER, rules

OFFICE = OpeningHours(
    "Europe/Berlin",
    ((Span(540, 720), Span(780, 1_020)),) * 5 + ((), (Span(0, 1_440),)),
    (date(2026, 12, 25),),
)
RULES = rules(
    origins=("https://example.com", "https://shop.example"),
    hours=OFFICE,
    seconds_max=120,
    calls_at_once=7,
    amounts=CallAllowance(1, 2, 3, 4, 5, 6),
    month_cap_micros=12_500_000,
)


@pytest.mark.parametrize(
    "what", [RULES, rules(), rules(destination=""), rules(day_cap_micros=None)]
)
def test_a_form_that_nobody_touches_says_the_same_rules(what):
    form = read(written("shop", what), what)
    assert (form.label, form.rules, form.errors, form.wrong_lines) == ("shop", what, {}, {})


def test_a_new_form_is_right_but_for_what_only_its_owner_knows():
    fields = written("", NEW, once="form-1", is_new=True)
    assert fields.once == "form-1"
    assert (fields.seconds_max, fields.visitor_hour, fields.calls_at_once) == ("300", "3", "2")
    assert (fields.day_cap, fields.month_cap) == ("5", "50")
    assert (fields.opens, fields.monday, fields.sunday) == ("always", "09:00-17:00", "")
    form = read(fields, NEW)
    assert form.errors == {"destination": "destination_needed"}
    assert faults(form.rules, call_seconds_max=3_600) == {"title": "title_needed"}
    assert form.rules.hours.week == ALWAYS


def typed_as(**changes):
    return read(msgspec.structs.replace(written("shop", RULES), **changes), RULES)


@pytest.mark.parametrize(
    ("changes", "errors", "lines"),
    [
        ({"monday": "nine to five"}, {"monday": "hours_invalid"}, {}),
        ({"opens": "always", "monday": "nine to five"}, {}, {}),
        (
            {"holidays": "2026-12-25\n\n25 Dec"},
            {"holidays": "date_invalid"},
            {"holidays": "3: 25 Dec"},
        ),
        ({"day_cap": "much"}, {"day_cap": "amount_invalid"}, {}),
        ({"month_cap": "0"}, {"month_cap": "amount_invalid"}, {}),
        # What is wrong with an address is for the rules to say, which know no lines.
        (
            {"origins": "https://a.example\r\nhttp://b.example"},
            {},
            {"origins": "2: http://b.example"},
        ),
        ({"origins": "x" * 500}, {}, {"origins": "1: " + "x" * SHOWN_CHARS_MAX}),
    ],
)
def test_what_is_wrong_is_told_with_its_line(changes, errors, lines):
    form = typed_as(**changes)
    assert (form.errors, form.wrong_lines) == (errors, lines)


def test_what_is_no_number_is_none_that_a_rule_allows():
    form = typed_as(seconds_max="5 min", calls_at_once="", visitor_hour="-1", button_day="٩")
    assert faults(form.rules, call_seconds_max=3_600) == {
        "seconds_max": "seconds_range",
        "calls_at_once": "calls_at_once_range",
        "visitor_hour": "amount_range",
        "button_hour": "amount_above_day",
        "button_day": "amount_range",
    }


def test_what_the_form_does_not_ask_for_stays():
    form = typed_as(visitor_day="9", day_cap=" ", destination=SIGNED)
    assert form.rules.amounts == CallAllowance(1, 9, 3, 4, 5, 6)
    assert form.rules.day_cap_micros is None
    assert form.rules.is_signed
    assert typed_as().rules.destination == NUMBER
