"""Totals of calls, against the same figures counted one by one."""

import itertools
from collections import Counter
from datetime import timedelta
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.nanoseconds import SECOND_NS
from gateway.watching.rows import LIVE, TALKING, Sound
from gateway.watching.totals import (
    COUNTRIES_KEPT_MAX,
    COUNTRIES_MAX,
    DURATIONS_S,
    PREFIXES_KEPT_MAX,
    PREFIXES_MAX,
    STEP_S,
    WINDOW_S,
    LastMinute,
    LiveSums,
    Window,
)
from tests.gateway.watching.played import AT, SOUND, ended_of, row_of

STATES = ["connecting", "ringing", "answered", "held", "ending", "ended", "lost"]
COUNTRIES = st.sampled_from(["DE", "GB", "US"])
PREFIXES = st.sampled_from(["", "+1", "+4915"])
ENDED = st.builds(
    lambda length_s, **values: ended_of(
        answered_at=None if length_s is None else AT,
        ended_at=AT + timedelta(seconds=length_s or 0),
        **values,
    ),
    length_s=st.none() | st.integers(0, 4_000),
    country=COUNTRIES,
    prefix=PREFIXES,
    ended_by=st.sampled_from(["caller", "callee", "carrier"]),
    cause=st.sampled_from([16, 17, 34, 38, 42, 102, 609]),
    pdd_ms=st.none() | st.integers(0, 70_000),
)
SOUNDS = st.builds(Sound, st.integers(-70, 0), st.integers(-70, 0), st.just(0))
LIVES = st.builds(
    lambda age_s, **values: row_of(answered_at=AT - timedelta(seconds=age_s), **values),
    age_s=st.integers(0, 5_000),
    state=st.sampled_from(STATES),
    country=COUNTRIES,
    prefix=PREFIXES,
    currency=st.sampled_from(["EUR", "USD"]),
    per_minute_micros=st.integers(0, 10**6),
    mos=st.none() | st.floats(1, 4.5),
    rtt_ms=st.none() | st.floats(0, 3_000),
)
HAPPENINGS = st.lists(st.tuples(st.integers(0, 120), ENDED | SOUNDS | st.none()), max_size=40)


def share(part, whole):
    return round(100 * part / whole, 1) if whole else None


def least(values, of_all):
    """Return the least value that this share does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(of_all * len(ordered)) - 1)] if ordered else None


def past(rows, live=()):
    """Return ASR of ended calls and of those that are on, and PDD of the ended, counted plainly."""
    on = [row for row in live if row.state in ("answered", "held")]
    answered = [row for row in rows if row.answered_at is not None] + on
    steps = [min(row.pdd_ms // 250, 240) for row in rows if row.pdd_ms is not None]
    median = least(steps, Fraction(1, 2))
    return share(len(answered), len(rows) + len(on)), None if median is None else median * 250 + 125


def mean(values, digits):
    values = list(values)
    return round(sum(values) / len(values), digits) if values else None


def check(figures, ended, live):
    """Compare the figures of some calls with those calls."""
    assert (figures.attempts, figures.calls) == (len(ended), len(live))
    assert (figures.asr_percent, figures.pdd_ms) == past(ended, live)
    failed = [r for r in ended if r.answered_at is None and r.ended_by != "caller"]
    assert figures.failed == len(failed)
    rated = [row.mos for row in live if row.mos is not None]
    assert figures.mos == pytest.approx(mean(rated, 2), abs=0.011)


@given(HAPPENINGS, st.lists(LIVES, max_size=40), st.integers(0, 1_000))
def test_totals_are_what_a_plain_count_finds(happenings, lives, rest_s):
    window, sums, now_s = Window(), LiveSums(), 1_000
    happened = []
    for passed_s, what in happenings:
        now_s += passed_s
        happened.append((now_s, what))
        if what is None:
            window.begun(now_s * SECOND_NS)
        elif isinstance(what, Sound):
            window.heard(what, now_s * SECOND_NS)
        else:
            window.ended(what, now_s * SECOND_NS)
    now_s += rest_s
    # A few at a time, as the board does.
    for begin in range(0, len(lives), 7):
        sums.add(lives[begin : begin + 7], AT)
    totals = window.sum_up(sums, now_s * SECOND_NS)

    step = now_s // STEP_S
    lately = [(at_s, w) for at_s, w in happened if at_s // STEP_S > step - WINDOW_S // STEP_S]
    rows = [what for _, what in lately if what is not None and not isinstance(what, Sound)]
    sounds = [what for _, what in lately if isinstance(what, Sound)]
    spoken = [each for each in sounds if max(each.caller_dbov, each.phone_dbov) >= -45]
    lengths = [(r.ended_at - r.answered_at).total_seconds() for r in rows if r.answered_at]
    assert (totals.asr_percent, totals.pdd_ms) == past(rows, lives)
    assert totals.acd_s == mean(lengths, 1)
    assert totals.talk_percent == share(len(spoken), len(sounds))
    begun = [at_s for at_s, what in lately if what is None and at_s // STEP_S > step - 6]
    assert totals.begun_per_minute == len(begun)
    of_late = [r for at_s, r in lately if r in rows and at_s // STEP_S > step - 6]
    unfound = [r for r in of_late if r.answered_at is None and r.cause not in (16, 17)]
    assert window.last_minute(now_s * SECOND_NS) == (len(of_late), len(unfound))

    live = [row for row in lives if row.state in LIVE]
    talking = [row for row in live if row.state in TALKING]
    assert totals.calls == len(live)
    assert totals.by_state == Counter(row.state for row in live)
    spend = Counter()
    for row in talking:
        spend[row.currency] += row.per_minute_micros
    assert totals.spend_micros_per_minute == spend
    rtts = [min(round(row.rtt_ms), 2_000) for row in live if row.rtt_ms is not None]
    assert totals.rtt_p95_ms == least(rtts, Fraction(19, 20))
    assert totals.mos == pytest.approx(
        mean((r.mos for r in live if r.mos is not None), 2), abs=0.011
    )
    ages = [(AT - row.answered_at).total_seconds() for row in talking]
    bounds = [-1, *DURATIONS_S, 10**9]
    assert list(totals.durations) == [
        sum(low < age <= high for age in ages) for low, high in itertools.pairwise(bounds)
    ]
    for each in totals.countries:
        ours = [row for row in rows if row.country == each.country]
        now = [row for row in live if row.country == each.country]
        check(each, ours, now)
        for part in each.prefixes:
            priced = [row for row in ours if row.prefix == part.prefix]
            check(part, priced, [row for row in now if row.prefix == part.prefix])
        found = {part.prefix for part in each.prefixes}
        assert found == {row.prefix for row in (*ours, *now)} - {""}
    assert {each.country for each in totals.countries} == {row.country for row in (*rows, *live)}


def test_of_nothing_there_is_nothing_to_say():
    totals = Window().sum_up(LiveSums(), 0)
    figures = (totals.asr_percent, totals.acd_s, totals.pdd_ms, totals.rtt_p95_ms)
    assert {*figures, totals.mos, totals.talk_percent} == {None}
    assert (totals.calls, totals.begun_per_minute, totals.countries) == (0, 0, ())
    assert Window().last_minute(0) == LastMinute(0, 0)
    assert totals.durations == (0,) * (len(DURATIONS_S) + 1)


def test_a_quarter_of_an_hour_later_it_is_forgotten():
    window = Window()
    window.ended(ended_of(), 0)
    last_ns = (WINDOW_S - 1) * SECOND_NS
    assert window.sum_up(LiveSums(), last_ns).asr_percent == 100
    assert window.sum_up(LiveSums(), WINDOW_S * SECOND_NS).asr_percent is None
    assert not window._steps


def test_countries_that_are_shown_are_those_with_the_most_calls_and_few():
    window = Window()
    for n in range(2 * COUNTRIES_KEPT_MAX):
        window.ended(ended_of(country=f"C{n:03}"), 0)
    for _ in range(3):
        window.ended(ended_of(country="C007"), 0)
    countries = window.sum_up(LiveSums(), 0).countries
    assert len(countries) == COUNTRIES_MAX
    assert (countries[0].country, countries[0].attempts) == ("C007", 4)
    assert len(window._steps[0].countries) == COUNTRIES_KEPT_MAX


def test_prefixes_that_are_shown_are_the_busiest_of_all_and_all_others_count_in_their_country():
    window, sums = Window(), LiveSums()
    for n in range(2 * PREFIXES_KEPT_MAX):
        window.ended(ended_of(country=f"C{n % 3}", prefix=f"+1{n:04}"), 0)
    for _ in range(3):
        window.ended(ended_of(country="C1", prefix="+10007"), 0)
    sums.add([row_of(country="C2", prefix="+19999")] * 2, AT)
    countries = window.sum_up(sums, 0).countries
    shown = [part for each in countries for part in each.prefixes]
    assert len(shown) == PREFIXES_MAX
    first, second = sorted(shown, key=lambda part: -part.attempts - part.calls)[:2]
    assert (first.prefix, first.attempts, second.prefix, second.calls) == (
        "+10007",
        4,
        "+19999",
        2,
    )
    of_first = next(each for each in countries if each.country == "C1").prefixes
    assert of_first[0] is first
    assert sum(each.attempts for each in countries) == 2 * PREFIXES_KEPT_MAX + 3
    assert len(window._prefixes) == len(window._steps[0].prefixes) == PREFIXES_KEPT_MAX
    # Once those have lapsed there is room for others.
    later_ns = WINDOW_S * SECOND_NS
    window.ended(ended_of(country="C1", prefix="+19999"), later_ns)
    assert list(window._prefixes) == [("C1", "+19999")]


def test_of_a_country_that_is_not_shown_neither_are_its_prefixes():
    window = Window()
    for n in range(COUNTRIES_MAX):
        for m in range(3):
            window.ended(ended_of(country=f"C{n}", prefix=f"+{n}{m}"), 0)
    for _ in range(2):
        window.ended(ended_of(country="ZZ", prefix="+999"), 0)
    countries = window.sum_up(LiveSums(), 0).countries
    assert "ZZ" not in {each.country for each in countries}
    assert "+999" not in {part.prefix for each in countries for part in each.prefixes}


def test_a_clock_that_stands_still_or_goes_back_loses_nothing():
    window = Window()
    for now_s in (500, 480, 500):
        window.heard(SOUND, now_s * SECOND_NS)
        window.begun(now_s * SECOND_NS)
    totals = window.sum_up(LiveSums(), 500 * SECOND_NS)
    assert (totals.begun_per_minute, totals.talk_percent) == (3, 100)


def test_the_median_and_the_worst_of_twenty_are_those_of_the_calls():
    window, sums = Window(), LiveSums()
    for n in range(1, 21):
        window.ended(ended_of(pdd_ms=1_000 * n), 0)
    sums.add([row_of(rtt_ms=10.0 * n) for n in range(1, 21)], AT)
    totals = window.sum_up(sums, 0)
    assert (totals.pdd_ms, totals.rtt_p95_ms) == (10_125, 190)
