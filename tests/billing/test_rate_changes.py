"""What a deck changes, by what numbers cost before and after, and what it earns."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import RateDeckError
from billing.rate_changes import (
    MEAN_LENGTHS_S,
    REFERENCE_S,
    RateChangeKind,
    at_margin,
    carrier_minutes_permille,
    diff,
    margins,
    mean_price_micros,
    with_margin,
)
from billing.rate_deck import COLUMNS, DeckEntry, RateDeck, carrier_rate
from billing.rating import Rate
from tests.strategies import rates

HEADER = ",".join(COLUMNS) + "\n"


def deck(*rows):
    return RateDeck.from_csv(HEADER + "\n".join(rows))


def changes(before, after):
    return {c.prefix: (c.kind, c.delta_micros) for c in diff(before, after)}


def test_each_kind_of_change_is_told():
    before = deck(
        "44,UK,GB,0.01,0,1,1",
        "49,Germany,DE,0.01,0,1,1",
        "33,France,FR,0.01,0,1,1",
        "34,Spain,ES,0.01,0,1,1",
        "39,Italy,IT,0.01,0,1,1",
        "31,Holland,NL,0.01,0,1,1",
    )
    after = deck(
        "44,UK,GB,0.02,0,1,1",
        "49,Germany,DE,0.005,0,1,1",
        "33,,,deny,,,",
        "81,Japan,JP,0.03,0,1,1",
        "39,Italy,IT,0.01,0,1,1",
        "31,Netherlands,NL,0.01,0,1,1",
    )
    assert changes(before, after) == {
        "44": (RateChangeKind.DEARER, 100_000),
        "49": (RateChangeKind.CHEAPER, -50_000),
        "33": (RateChangeKind.DENIED, -100_000),
        "34": (RateChangeKind.REMOVED, -100_000),
        "81": (RateChangeKind.ADDED, 300_000),
        "31": (RateChangeKind.TERMS, 0),
    }
    assert {kind for kind, _ in changes(before, after).values()} == set(RateChangeKind)


def test_a_prefix_is_compared_with_the_shorter_one_that_rates_its_numbers():
    short = deck("44,UK,GB,0.01,0,1,1")
    long = deck("44,UK,GB,0.01,0,1,1", "447,UK mobile,GB,0.03,0,1,1", "4470,,,deny,,,")
    assert changes(short, long) == {
        "447": (RateChangeKind.DEARER, 200_000),
        "4470": (RateChangeKind.DENIED, -100_000),
    }
    assert changes(long, short) == {
        "447": (RateChangeKind.CHEAPER, -200_000),
        "4470": (RateChangeKind.ADDED, 100_000),
    }


def test_dearer_for_one_reference_call_is_dearer():
    per_second = deck("44,UK,GB,0.06,0,1,1")
    with_fee = deck("44,UK,GB,0.05,0.015,1,1")
    assert changes(per_second, with_fee) == {"44": (RateChangeKind.DEARER, 5_000)}


def test_another_increment_alone_is_told():
    assert changes(deck("44,UK,GB,0.06,0,1,1"), deck("44,UK,GB,0.06,0,60,60")) == {
        "44": (RateChangeKind.TERMS, 0)
    }


def test_the_largest_change_comes_first():
    before = deck("44,,,0.01,0,1,1", "49,,,0.01,0,1,1", "33,,,0.01,0,1,1")
    after = deck("44,,,0.02,0,1,1", "49,,,0.09,0,1,1", "33,,,0.001,0,1,1")
    assert [c.prefix for c in diff(before, after)] == ["49", "44", "33"]


prefixes = st.text("12", min_size=1, max_size=4)
decks = st.dictionaries(prefixes, st.none() | st.integers(1, 3), min_size=1).map(
    lambda prices: deck(*(f"{p},,,{price or 'deny'},0,1,1" for p, price in prices.items()))
)


@given(decks, decks, st.text("12", min_size=4, max_size=6))
def test_a_number_costs_another_price_just_when_its_prefix_is_told(before, after, number):
    prefix = max(before.prefix_of(number) or "", after.prefix_of(number) or "", key=len)
    old, new = (d.match(number) for d in (before, after))
    deltas = {
        (new.rate.cost(s) if new else 0) - (old.rate.cost(s) if old else 0) for s in REFERENCE_S
    }
    told = changes(before, after)
    assert (deltas != {0}) == (prefix in told)
    assert prefix not in told or told[prefix][1] in deltas
    assert changes(before, before) == {}


def test_carriers_bill_more_minutes_than_people_talk():
    assert [carrier_minutes_permille(s) for s in MEAN_LENGTHS_S] == [1582, 1176, 1104]


def exact_mean(rate, mean_s):
    """Sum over whole seconds, until hardly a call is left."""
    return sum(
        rate.cost(s) * (exp(-(s - 1) / mean_s) - exp(-s / mean_s)) for s in range(1, 40 * mean_s)
    )


@given(rates(), st.sampled_from((20, 60, 180)))
def test_the_mean_price_is_the_sum_over_all_lengths(rate, mean_s):
    # A price is rounded up by less than a micro, and so is what a minimum or a cap replaces.
    expected = exact_mean(rate, mean_s)
    assert mean_price_micros(rate, mean_s) == pytest.approx(expected, rel=1e-9, abs=1.001)


@pytest.mark.parametrize(
    "rate",
    [
        Rate(per_minute_micros=0, minimum_micros=7),
        Rate(per_minute_micros=60, connect_fee_micros=3, cap_micros=3),
        Rate(per_minute_micros=600, first_s=60, connect_fee_micros=3, minimum_micros=5),
        Rate(per_minute_micros=600, connect_fee_micros=5, minimum_micros=3, free_s=9),
        Rate(per_minute_micros=600_000, minimum_micros=50_000, cap_micros=50_000),
    ],
)
def test_the_mean_price_knows_minimum_and_cap(rate):
    assert mean_price_micros(rate, 60) == pytest.approx(exact_mean(rate, 60), abs=1)


COSTS = RateDeck.from_costs_csv("prefix,price_per_minute\n44,0.01\n447,0.03\n1,0.01\n")


def test_margins_are_known_wherever_deck_or_carrier_tells_numbers_apart():
    sold = deck("44,UK,GB,0.02,0,60,60", "442,London,GB,0.02,0,1,1", "49,,,1,0,1,1")
    found = {m.prefix: m for m in margins(sold, COSTS)}
    assert {p: (m.sold.prefix, m.carrier.per_minute_micros) for p, m in found.items()} == {
        "44": ("44", 10_000),
        "442": ("442", 10_000),
        "447": ("44", 30_000),
    }
    assert found["44"].permille(60) == 1_000
    assert [found["442"].permille(s) for s in MEAN_LENGTHS_S] == [274, 705, 815]
    assert not found["442"].is_loss(60)
    assert found["447"].is_loss(60)


def test_selling_by_the_second_at_cost_loses_and_by_the_minute_does_not():
    by_second = next(margins(deck("1,,,0.01,0,1,1"), COSTS))
    by_minute = next(margins(deck("1,,,0.01,0,60,60"), COSTS))
    assert [by_second.is_loss(s) for s in MEAN_LENGTHS_S] == [True] * 3
    assert [by_minute.permille(s) for s in MEAN_LENGTHS_S] == [0] * 3


def test_nothing_can_be_lost_over_a_carrier_that_charges_nothing():
    costs = RateDeck.from_costs_csv("prefix,price_per_minute\n1,0\n")
    margin = next(margins(deck("1,,,0,0,1,1"), costs))
    assert margin.permille(60) is None
    assert not margin.is_loss(60)


@given(st.integers(0, 10**9), st.integers(0, 10_000))
def test_a_price_earns_its_margin_to_the_micro(cost, permille):
    price = with_margin(cost, permille)
    assert (price - 1) * 1000 < cost * (1000 + permille) <= price * 1000


def test_a_deck_is_made_of_the_carriers_prices():
    costs = deck("44,UK,GB,0.0101,0,60,60", "447,,,deny,,,")
    made = at_margin(costs, 300, 60, 6)
    header = HEADER.strip() + ",carrier_per_minute\n"
    assert list(made) == list(RateDeck.from_csv(header + "44,UK,GB,0.01313,0,60,6,0.0101"))
    assert (list(made.prefixes), made.match("447")) == (["44", "447"], None)
    with pytest.raises(RateDeckError):
        at_margin(costs, 300, 0, 6)


def test_carriers_bill_whole_minutes():
    assert [carrier_rate(10_000).cost(s) for s in (1, 60, 61)] == [10_000, 10_000, 20_000]


@given(st.integers(0, 10**9), st.integers(0, 3_000), st.integers(1, 120), st.integers(1, 120))
def test_a_deck_of_the_carriers_prices_covers_its_minute(cost, permille, first_s, next_s):
    costs = RateDeck({"44": DeckEntry("44", "UK", "GB", carrier_rate(cost))})
    made = at_margin(costs, permille, first_s, next_s)
    (margin,) = margins(made, costs)
    assert not margin.is_short_loss()
    assert list(RateDeck.from_csv(made.to_csv())) == list(made)
    needs_minimum = -(-made.match("44").rate.per_minute_micros * first_s // 60) < cost
    assert made.match("44").rate.minimum_micros == (cost if needs_minimum else 0)
