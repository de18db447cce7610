"""List filters over a handful of calls."""

from __future__ import annotations

import pytest

from simulators.carrier import resources, tariff
from simulators.carrier.calls import NS_PER_S, Call, Status
from simulators.carrier.errors import RestError
from simulators.carrier.listing import read_filter, read_page
from simulators.carrier.resources import PageRequest

DAY = 1_700_006_400  # 2023-11-15T00:00:00Z


def call(started_s: int | None, status: Status = Status.RINGING, to: str = "+15005551000") -> Call:
    made = Call(
        sid="CA" + "1" * 32,
        account_sid="AC" + "2" * 32,
        to=to,
        from_="+15005550006",
        created_at_ns=(started_s or DAY) * NS_PER_S,
        status=status,
    )
    made.initiated_at_ns = None if started_s is None else started_s * NS_PER_S
    return made


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, True),
        ({"To": "+15005551000", "From": "+15005550006", "Status": "ringing"}, True),
        ({"To": "+15005551001"}, False),
        ({"From": "+15005551001"}, False),
        ({"Status": "completed"}, False),
        ({"ParentCallSid": "CA" + "3" * 32}, False),
        ({"StartTime": "2023-11-15"}, True),
        ({"StartTime": "2023-11-14"}, False),
        ({"StartTime>": "2023-11-15"}, True),
        ({"StartTime>": "2023-11-16"}, False),
        ({"StartTime<": "2023-11-15"}, True),
        ({"StartTime<": "2023-11-14"}, False),
        ({"StartTime>": "2023-11-15T01:00:00Z"}, True),
        ({"StartTime>": "2023-11-15T01:00:01Z"}, False),
        ({"StartTime<": "2023-11-15T01:00:00Z"}, True),
        ({"StartTime<": "2023-11-15T00:59:59Z"}, False),
        ({"StartTime>": "2023-11-15T00:00:00", "StartTime<": "2023-11-15T02:00:00"}, True),
        ({"EndTime>": "2023-11-15"}, False),
    ],
)
def test_admits(query: dict[str, str], wanted: bool) -> None:
    assert read_filter(query).admits(call(DAY + 3600)) is wanted


def test_a_call_not_yet_dialled_has_no_start_time_to_match() -> None:
    queued = call(None, Status.QUEUED)
    assert read_filter({"Status": "queued"}).admits(queued)
    assert not read_filter({"StartTime>": "2000-01-01"}).admits(queued)


def test_initiated_calls_are_queued_to_rest() -> None:
    assert read_filter({"Status": "queued"}).admits(call(DAY, Status.INITIATED))


@pytest.mark.parametrize("text", ["yesterday!", "2023-13-01", "2023-11-15T99:00:00Z", "1"])
def test_refuses_times_that_are_none(text: str) -> None:
    with pytest.raises(RestError):
        read_filter({"StartTime": text})


def test_pages_are_bounded() -> None:
    assert read_page({}) == PageRequest(50, 0)
    assert read_page({"PageSize": "5000", "Page": "2"}) == PageRequest(1000, 2)
    with pytest.raises(RestError):
        read_page({"Page": "-1"})


def test_page_links_lead_through_the_list() -> None:
    items: list[resources.Json] = [{"n": n} for n in range(5)]
    first = resources.page("/c", "calls", items, PageRequest(2, 0), {"To": "+1"})
    last = resources.page("/c", "calls", items, PageRequest(2, 2), {"To": "+1"})
    assert first["next_page_uri"] == "/c?To=%2B1&PageSize=2&Page=1"
    assert (first["previous_page_uri"], last["next_page_uri"]) == (None, None)
    assert (last["calls"], last["start"], last["end"]) == ([{"n": 4}], 4, 4)


@pytest.mark.parametrize(
    ("number", "minutes", "price"),
    [
        ("+15005551000", 1, "-0.01400"),
        ("+491701234567", 3, "-0.08250"),
        ("+37129123456", 1, "-0.46500"),
        ("+8821234567", 2, "-0.50000"),
    ],
)
def test_prices_are_negative_strings(number: str, minutes: int, price: str) -> None:
    assert tariff.call_price(number, minutes) == price


def test_the_price_shows_only_some_time_after_the_end() -> None:
    made = call(DAY)
    made.status, made.answered_at_ns = Status.IN_PROGRESS, DAY * NS_PER_S
    made.advance(Status.COMPLETED, (DAY + 61) * NS_PER_S, 200)

    def price(seconds_later: float) -> object:
        now_ns = int((DAY + 61 + seconds_later) * NS_PER_S)
        return resources.call(made, now_ns, price_delay_s=2.0)["price"]

    assert (price(0), price(1.9), price(2.0)) == (None, None, "-0.02800")
