"""Opening hours: on the wall of one place, also on the days on which its clocks are changed."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.embed.hours import ALWAYS, LOOK_AHEAD_DAYS, OpeningHours, Span

NINE_TO_FIVE = (Span(9 * 60, 17 * 60),)
OFFICE = ((NINE_TO_FIVE,) * 5) + ((), ())
BERLIN = OpeningHours("Europe/Berlin", OFFICE)
NIGHT = ((Span(150, 300),),) * 7
"""From half past two to five: where clocks are changed it begins in the gap."""


def utc(text):
    return datetime.fromisoformat(f"2026-{text}:00+00:00")


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("11-27T07:59", False),
        ("11-27T08:00", True),  # Friday, 9:00 in Berlin
        ("11-27T15:59", True),
        ("11-27T16:00", False),
        ("11-28T10:00", False),  # Saturday
        ("07-03T07:00", True),  # 9:00 in summer
    ],
)
def test_the_week_holds_by_the_clock_of_the_place(at, is_open):
    assert BERLIN.is_open(utc(at)) is is_open


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("11-27T07:00", "11-27T08:00"),
        ("11-27T12:00", "11-27T12:00"),
        ("11-27T16:00", "11-30T08:00"),  # from Friday evening to Monday
        ("03-27T20:00", "03-30T07:00"),  # the clocks are changed on that Sunday
        ("10-23T20:00", "10-26T08:00"),
    ],
)
def test_the_next_opening_is_told(at, opens):
    assert BERLIN.next_opening(utc(at)) == utc(opens)


def test_a_holiday_is_closed_and_the_day_after_opens():
    hours = OpeningHours("Europe/Berlin", OFFICE, (date(2026, 11, 27), date(2026, 11, 30)))
    assert not hours.is_open(utc("11-27T10:00"))
    assert hours.next_opening(utc("11-27T10:00")) == utc("12-01T08:00")


@pytest.mark.parametrize(
    ("zone", "at", "opens"),
    [
        # The night in which 2:00 becomes 3:00: open from the first minute that there is.
        ("Europe/Berlin", "03-28T20:00", "03-29T01:00"),
        ("America/New_York", "03-07T20:00", "03-08T07:00"),
        # The night in which 3:00 becomes 2:00 again: half past two comes twice, and both are open.
        ("Europe/Berlin", "10-24T20:00", "10-25T00:30"),
        ("Asia/Kathmandu", "06-01T00:00", "06-01T20:45"),
    ],
)
def test_hours_that_fall_into_a_change_of_clocks(zone, at, opens):
    assert OpeningHours(zone, NIGHT).next_opening(utc(at)) == utc(opens)


def test_an_hour_that_comes_twice_is_open_twice():
    hours = OpeningHours("Europe/Berlin", ((Span(120, 150),),) * 7)
    moments = [utc("10-25T00:00"), utc("10-25T00:30"), utc("10-25T01:00"), utc("10-25T01:29")]
    assert [hours.is_open(at) for at in moments] == [True, False, True, True]
    assert hours.next_opening(moments[1]) == moments[2]


def test_always_and_never():
    at = utc("11-27T10:00")
    assert OpeningHours(week=ALWAYS).next_opening(at) == at
    assert OpeningHours(week=((),) * 7).next_opening(at) is None
    closed = tuple(at.date() + timedelta(days=n) for n in range(3))
    assert OpeningHours(holidays=closed).next_opening(at) == utc("11-30T00:00")


SPANS = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda span: span[0] < span[1])
WEEKS = st.tuples(*[st.lists(SPANS, max_size=2).map(lambda d: tuple(Span(*s) for s in d))] * 7)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]


@given(
    WEEKS,
    st.sampled_from(ZONES),
    st.integers(0, 2 * 365 * 1440).map(lambda n: utc("01-01T00:00") + timedelta(minutes=n)),
)
def test_it_is_open_when_it_is_said_to_open_and_not_before(week, zone, at):
    hours = OpeningHours(zone, week)
    opens = hours.next_opening(at)
    if opens is None:
        assert not any(hours.is_open(at + timedelta(hours=n)) for n in range(24 * 8))
        return
    assert hours.is_open(opens)
    assert at <= opens <= at + timedelta(days=LOOK_AHEAD_DAYS)
    step = max(timedelta(minutes=1), (opens - at) / 50)
    moment = at
    while moment < opens:
        assert not hours.is_open(moment)
        moment += step
