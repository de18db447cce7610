"""Rules of a button: each fault has its word, and what is kept is in one form."""

from datetime import date

import msgspec
import pytest

from gateway.embed.hours import ALWAYS, OpeningHours, Span
from gateway.embed.rules import (
    AMOUNT_MAX,
    CALLS_AT_ONCE_MAX,
    ButtonRules,
    CallAllowance,
    faults,
    tidied,
)

RULES = ButtonRules(
    title="Sales of Example",
    origins=("https://example.com",),
    destination="+493012345678",
    hours=OpeningHours("Europe/Berlin", ALWAYS),
    day_cap_micros=5_000_000,
)


def wrong(**changes):
    rules = msgspec.structs.replace(RULES, **changes)
    return dict(faults(rules, call_seconds_max=3_600))


def test_good_rules_have_no_fault():
    assert wrong() == {}
    assert wrong(origins=(), destination="", day_cap_micros=None, month_cap_micros=1) == {}
    assert not RULES.is_signed
    assert msgspec.structs.replace(RULES, destination="").is_signed


@pytest.mark.parametrize(
    ("field", "word", "changes"),
    [
        ("title", "title_needed", {"title": ""}),
        ("title", "characters_hidden", {"title": "a\rb"}),
        ("title", "characters_hidden", {"title": "a\u202eb"}),
        ("title", "title_long", {"title": "a" * 61}),
        ("origins", "origin_wildcard", {"origins": ("https://example.com", "https://*.example")}),
        ("origins", "origins_too_many", {"origins": ("https://example.com",) * 21}),
        ("zone", "zone_unknown", {"hours": OpeningHours("Europe/Nowhere")}),
        ("zone", "zone_unknown", {"hours": OpeningHours("../../etc/passwd")}),
        ("zone", "zone_unknown", {"hours": OpeningHours("")}),
        ("week", "hours_invalid", {"hours": OpeningHours(week=())}),
        ("week", "hours_invalid", {"hours": OpeningHours(week=((Span(540, 540),),) * 7)}),
        ("week", "hours_invalid", {"hours": OpeningHours(week=((Span(540, 1441),),) * 7)}),
        (
            "week",
            "hours_invalid",
            {"hours": OpeningHours(week=((Span(0, 600), Span(599, 700)),) * 7)},
        ),
        (
            "week",
            "hours_invalid",
            {"hours": OpeningHours(week=((Span(0, 1),) * 1 + (Span(1, 2),) * 4,) * 7)},
        ),
        (
            "holidays",
            "holidays_too_many",
            {"hours": OpeningHours(holidays=(date(2026, 1, 1),) * 65)},
        ),
        ("seconds_max", "seconds_range", {"seconds_max": 9}),
        ("seconds_max", "seconds_range", {"seconds_max": 3_601}),
        ("calls_at_once", "calls_at_once_range", {"calls_at_once": 0}),
        ("calls_at_once", "calls_at_once_range", {"calls_at_once": CALLS_AT_ONCE_MAX + 1}),
        ("visitor_hour", "amount_range", {"amounts": CallAllowance(visitor_hour=0)}),
        ("button_day", "amount_range", {"amounts": CallAllowance(button_day=AMOUNT_MAX + 1)}),
        ("network_hour", "amount_above_day", {"amounts": CallAllowance(network_hour=61)}),
        ("day_cap", "cap_range", {"day_cap_micros": 0}),
        ("month_cap", "cap_range", {"month_cap_micros": 10**12 + 1}),
        ("day_cap", "cap_above_month", {"month_cap_micros": 4_999_999}),
        ("day_cap", "cap_needed", {"day_cap_micros": None}),
    ],
)
def test_each_fault_has_its_word(field, word, changes):
    assert wrong(**changes) == {field: word}


def test_all_faults_are_told_at_once():
    assert set(wrong(title="", seconds_max=0, calls_at_once=0)) == {
        "title",
        "seconds_max",
        "calls_at_once",
    }


def test_what_is_kept_is_in_one_form_and_what_is_wrong_stays_to_be_told():
    typed = msgspec.structs.replace(
        RULES,
        title="  Sales \n of  Example ",
        origins=("https://Example.com/", "https://example.com", " ", "nonsense"),
        hours=OpeningHours(
            week=((Span(600, 700), Span(0, 60)),) + ((),) * 6,
            holidays=(date(2026, 12, 26), date(2026, 12, 25), date(2026, 12, 26)),
        ),
    )
    kept = tidied(typed)
    assert kept.title == "Sales of Example"
    assert kept.origins == ("https://example.com", "nonsense")
    assert kept.hours.week[0] == (Span(0, 60), Span(600, 700))
    assert kept.hours.holidays == (date(2026, 12, 25), date(2026, 12, 26))
    assert tidied(kept) == kept
    assert faults(kept, call_seconds_max=3_600) == {"origins": "origin_invalid"}


def test_rules_survive_being_kept():
    assert msgspec.json.decode(msgspec.json.encode(RULES), type=ButtonRules) == RULES
