"""The calculation on a call's page: it ends in the price that was charged, whatever the rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import format_exact
from billing.rating import Rate
from gateway.http.site.receipts import Step, per_minute_of, steps_of
from gateway.http.site.words import WORDS
from tests.strategies import rates


def shown(rate, seconds):
    return [
        (step.name, step.values, step.amount) for step in steps_of(rate.to_json(), seconds, "USD")
    ]


def test_a_call_by_the_second_is_seconds_times_price():
    assert shown(Rate(per_minute_micros=30_000, connect_fee_micros=10_000), 205) == [
        ("used", {"seconds": "205"}, ""),
        ("by_second", {}, ""),
        ("timed", {"seconds": "205", "price": "$0.03"}, "$0.1025"),
        ("connect_fee", {}, "$0.01"),
        ("price", {}, "$0.1125"),
    ]


def test_increments_and_a_free_head_are_said_and_counted():
    assert shown(Rate(per_minute_micros=60_000, first_s=60, next_s=6, free_s=10), 75) == [
        ("used", {"seconds": "75"}, ""),
        ("free", {"seconds": "10"}, ""),
        ("by_increment", {"first": "60", "next": "6"}, ""),
        ("timed", {"seconds": "66", "price": "$0.06"}, "$0.0660"),
        ("price", {}, "$0.0660"),
    ]


def test_the_fraction_of_a_millionth_is_rounded_up_once():
    assert shown(Rate(per_minute_micros=13_000), 1)[-1] == ("price", {}, "0.000217\u00a0USD")
    assert shown(Rate(per_minute_micros=13_000), 60)[-1] == ("price", {}, "$0.0130")


@pytest.mark.parametrize(
    ("rate", "seconds", "name", "amount"),
    [
        (Rate(per_minute_micros=60_000, minimum_micros=50_000), 3, "minimum", "$0.05"),
        (Rate(per_minute_micros=60_000, cap_micros=100_000), 600, "cap", "$0.10"),
    ],
)
def test_what_bounds_a_price_is_a_line_of_its_own(rate, seconds, name, amount):
    assert shown(rate, seconds)[-2:] == [(name, {}, amount), ("price", {}, amount)]


@given(rates(), st.integers(1, 100_000))
def test_the_last_line_is_what_the_meter_charges(rate, seconds):
    steps = steps_of(rate.to_json(), seconds, "USD")
    assert steps[-1] == Step("price", {}, format_exact(rate.cost(seconds), "USD"))
    assert all(f"receipt.{step.name}" in WORDS["en"] for step in steps)


@pytest.mark.parametrize(
    ("micros", "currency", "said"),
    [
        (10_000, "USD", "$0.01"),
        (100, "USD", "$0.0001"),
        (1, "EUR", "0.000001\u00a0EUR"),
        (100, "JPY", "0.000100\u00a0JPY"),
    ],
)
def test_no_digit_of_an_amount_is_lost(micros, currency, said):
    assert format_exact(micros, currency) == said


@pytest.mark.parametrize(("rate", "seconds", "currency"), [("{}", 5, "USD"), ("x", 5, "USD")])
def test_what_cannot_be_read_is_not_calculated(rate, seconds, currency):
    assert steps_of(rate, seconds, currency) == ()
    assert per_minute_of(rate, currency) == ("", "")


def test_where_nothing_was_to_be_paid_nothing_is_calculated():
    rate = Rate(per_minute_micros=30_000).to_json()
    assert steps_of(rate, 0, "USD") == steps_of(rate, 5, "") == ()
