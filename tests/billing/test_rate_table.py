"""A deck summed up by country: groups, cheapest first, closed ones last."""

from billing.rate_deck import RateDeck
from billing.rate_table import LASTING_MINUTES_MAX, by_country, lasting_minutes
from billing.rating import Rate

DECK = """prefix,description,country,rate_per_minute,connect_fee,first,next
447,"GB, mobile",GB,0.03,0,1,1
441 442,"GB, fixed",GB,0.01,0,1,1
446,"GB, fixed",GB,0.02,0,1,1
53,Cuba,CU,0.90,0,1,1
5399,"Cuba, open",CU,0.95,0,1,1
1500555,Simulated,,0.06,0,1,1
4470,"GB, premium",GB,deny,,,
"""


def test_each_country_has_its_groups():
    found = by_country(RateDeck.from_csv(DECK), lambda digits: digits == "53")
    assert {
        country: [(group.description, list(group.prefixes), group.is_closed) for group in groups]
        for country, groups in found.items()
    } == {
        "GB": [
            ("GB, fixed", ["441", "442"], False),
            ("GB, fixed", ["446"], False),
            ("GB, mobile", ["447"], False),
        ],
        "CU": [("Cuba, open", ["5399"], False), ("Cuba", ["53"], True)],
    }
    assert [group.rate.per_minute_micros for group in found["GB"]] == [10_000, 20_000, 30_000]


def test_an_empty_deck_has_no_country():
    assert by_country(RateDeck({}), lambda _: False) == {}


def test_a_balance_lasts_longer_than_one_call_may():
    rate = Rate(per_minute_micros=10_000, connect_fee_micros=5_000)
    assert [lasting_minutes(rate, micros) for micros in (-1, 0, 15_000, 14_999)] == [0, 0, 1, 0]
    assert lasting_minutes(rate, 100_005_000) == 10_000
    assert lasting_minutes(Rate(per_minute_micros=0), 1) == LASTING_MINUTES_MAX
