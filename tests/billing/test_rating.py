"""Prices of durations: one rounding on the total, so that charges by the second add up."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import RateDeckError
from billing.money import LIMIT
from billing.rating import INCREMENT_S_MAX, RATE_MICROS_MAX, SECONDS_MAX, Rate
from tests.strategies import micros, rates, seconds

CENT = 10_000


# 1.3 cents a minute, by increment: (seconds, price).
@pytest.mark.parametrize(
    ("first_s", "next_s", "prices"),
    [
        (1, 1, {0: 0, 1: 217, 5: 1_084, 6: 1_300, 59: 12_784, 60: 13_000, 61: 13_217}),
        (6, 6, {1: 1_300, 6: 1_300, 7: 2_600, 60: 13_000, 61: 14_300}),
        (30, 6, {1: 6_500, 30: 6_500, 31: 7_800, 36: 7_800, 37: 9_100}),
        (60, 6, {1: 13_000, 60: 13_000, 61: 14_300, 66: 14_300, 67: 15_600}),
        (60, 60, {1: 13_000, 60: 13_000, 61: 26_000, 600: 130_000}),
    ],
)
def test_increments_of_the_trade(first_s, next_s, prices):
    rate = Rate(per_minute_micros=13_000, first_s=first_s, next_s=next_s)
    assert {s: rate.cost(s) for s in prices} == prices


def test_an_hour_is_rounded_once():
    assert Rate(per_minute_micros=13_333).cost(3_600) == 799_980


def test_connect_fee_is_owed_from_the_first_second():
    rate = Rate(per_minute_micros=60 * CENT, connect_fee_micros=5 * CENT)
    assert [rate.cost(s) for s in (0, 1, 2)] == [0, 6 * CENT, 7 * CENT]


def test_a_minimum_is_owed_from_the_first_second():
    rate = Rate(per_minute_micros=60 * CENT, minimum_micros=5 * CENT, free_s=2)
    assert [rate.cost(s) for s in (0, 1, 2, 7, 8)] == [0, 5 * CENT, 5 * CENT, 5 * CENT, 6 * CENT]
    assert rate.affordable_seconds(5 * CENT - 1) == 0
    assert rate.affordable_seconds(5 * CENT) == 7


def test_beyond_its_cap_a_call_goes_on_free_of_charge():
    rate = Rate(per_minute_micros=60 * CENT, connect_fee_micros=CENT, cap_micros=5 * CENT)
    assert [rate.cost(s) for s in (3, 4, 5, SECONDS_MAX)] == [4 * CENT, *[5 * CENT] * 3]
    assert rate.affordable_seconds(5 * CENT - 1) == 3
    assert rate.affordable_seconds(5 * CENT) == SECONDS_MAX


def test_free_head_costs_only_the_connect_fee():
    rate = Rate(per_minute_micros=60 * CENT, first_s=6, next_s=6, connect_fee_micros=CENT, free_s=5)
    assert [rate.cost(s) for s in (0, 1, 5, 6, 11, 12)] == [
        0,
        CENT,
        CENT,
        7 * CENT,
        7 * CENT,
        13 * CENT,
    ]


@given(rates(), st.lists(seconds, min_size=2))
def test_never_decreases_so_that_charges_telescope(rate, points):
    points.sort()
    costs = [rate.cost(s) for s in points]
    deltas = [b - a for a, b in pairwise(costs)]
    assert min(deltas) >= 0
    assert costs[0] + sum(deltas) == costs[-1]


@given(rates(), seconds)
def test_is_exact_but_for_one_rounding_up(rate, s):
    rated = max(0, s - rate.free_s)
    billed = 0
    while billed < rated:
        billed += rate.next_s if billed else rate.first_s
    exact = Fraction(billed * rate.per_minute_micros, 60)
    exact += rate.connect_fee_micros
    exact = max(exact, rate.minimum_micros) if s else Fraction(0)
    exact = min(exact, rate.cap_micros) if rate.cap_micros else exact
    assert 0 <= rate.cost(s) - exact < 1


@given(st.data(), rates(), micros | st.integers(-10, 10), st.integers(0, SECONDS_MAX))
def test_affordable_is_the_most_that_can_be_paid(data, rate, amount, cap):
    edges = (rate.minimum_micros, rate.cap_micros, rate.cost(data.draw(seconds)))
    amount = data.draw(st.sampled_from((amount, *edges, *(edge - 1 for edge in edges))))
    s = rate.affordable_seconds(amount, cap)
    assert 0 <= s <= cap
    assert s == 0 or rate.cost(s) <= amount
    assert s == cap or rate.cost(s + 1) > amount


def test_nothing_is_affordable_below_the_connect_fee():
    rate = Rate(per_minute_micros=0, connect_fee_micros=CENT, free_s=10)
    assert rate.affordable_seconds(CENT - 1) == 0
    assert rate.affordable_seconds(CENT) == SECONDS_MAX


def test_the_dearest_call_stays_within_53_bits():
    rate = Rate(
        per_minute_micros=RATE_MICROS_MAX,
        first_s=INCREMENT_S_MAX,
        next_s=INCREMENT_S_MAX,
        connect_fee_micros=RATE_MICROS_MAX,
        minimum_micros=RATE_MICROS_MAX,
    )
    assert rate.cost(SECONDS_MAX) <= LIMIT


def test_reads_records_that_know_neither_minimum_nor_cap():
    text = '{"per_minute_micros":1,"first_s":60,"next_s":6,"connect_fee_micros":2,"free_s":3}'
    assert Rate.from_json(text) == Rate(
        per_minute_micros=1, first_s=60, next_s=6, connect_fee_micros=2, free_s=3
    )


@given(rates())
def test_survives_its_record(rate):
    assert Rate.from_json(rate.to_json()) == rate


@pytest.mark.parametrize(
    "change",
    [
        {"per_minute_micros": -1},
        {"per_minute_micros": RATE_MICROS_MAX + 1},
        {"first_s": 0},
        {"next_s": 0},
        {"next_s": INCREMENT_S_MAX + 1},
        {"connect_fee_micros": -1},
        {"free_s": -1},
        {"minimum_micros": -1},
        {"minimum_micros": RATE_MICROS_MAX + 1},
        {"cap_micros": -1},
        {"cap_micros": 1, "minimum_micros": 2},
        {"cap_micros": 1, "connect_fee_micros": 2},
    ],
)
def test_refuses_values_out_of_bounds(change):
    with pytest.raises(RateDeckError) as caught:
        Rate(**({"per_minute_micros": 1} | change))
    assert caught.value.column in change


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"per_minute_micros": "1"}', '{"per_minute_micros": -1}', b"\xff"],
)
def test_refuses_what_is_no_rate(text):
    with pytest.raises(RateDeckError):
        Rate.from_json(text)


@given(st.text())
def test_any_text_is_a_rate_or_a_deck_error(text):
    with pytest.raises(RateDeckError):
        Rate.from_json(text)
