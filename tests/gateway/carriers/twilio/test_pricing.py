"""Twilio's price list, read from a local service that speaks its Pricing API."""

import base64
import contextlib
import time

import pytest

from gateway.carriers.port import PrefixPrice
from gateway.carriers.twilio import reader as twilio_reader
from gateway.carriers.twilio.pricing import PRICE_LIST, TwilioPricing
from gateway.carriers.twilio.reader import TwilioReader, origin_of
from gateway.errors import CarrierError
from tests.valkey import free_port

GB = {
    "country": "United Kingdom",
    "iso_country": "GB",
    "price_unit": "USD",
    "outbound_prefix_prices": [
        {
            "destination_prefixes": ["44", "442"],
            "origination_prefixes": ["ALL"],
            "friendly_name": "United Kingdom",
            "base_price": "0.02",
            "current_price": "0.0158",
        },
        {
            "destination_prefixes": ["447"],
            "origination_prefixes": ["44", "4930"],
            "friendly_name": "United Kingdom - Mobile",
            "base_price": None,
            "current_price": 0.0300001,
        },
        {
            "destination_prefixes": ["447"],
            "origination_prefixes": ["ROW"],
            "friendly_name": "United Kingdom - Mobile, other origins",
            "current_price": 0.2,
        },
        {"destination_prefixes": ["4470"], "current_price": None},
        {"destination_prefixes": ["0", "x", ""], "current_price": "1"},
    ],
    "inbound_call_prices": [],
}


@contextlib.asynccontextmanager
async def pricing_at(url, timeout_s=5.0):
    reader = TwilioReader(
        PRICE_LIST,
        base_url=url,
        username="AC1",
        password="secret",
        timeout_s=timeout_s,
        backoff_s=0.001,
    )
    async with reader:
        yield TwilioPricing(reader)


@pytest.fixture
async def pricing(service):
    async with pricing_at(service.url) as pricing:
        yield pricing


async def test_countries_are_read_page_by_page_from_the_same_service(service, pricing):
    service.replies = [
        {
            "countries": [{"country": "Austria", "iso_country": "AT", "url": "x"}],
            "meta": {"next_page_url": "https://elsewhere.example/v2/Voice/Countries?Page=1&T=a"},
        },
        {
            "countries": [
                {"country": "Germany", "iso_country": "DE"},
                {"country": "Nonsense", "iso_country": "../x"},
            ],
            "meta": {"next_page_url": None},
        },
    ]
    assert await pricing.countries() == ["AT", "DE"]
    first, second = service.requests
    assert first.path_qs == "/v2/Voice/Countries?PageSize=500"
    assert second.path_qs == "/v2/Voice/Countries?Page=1&T=a"
    expected = "Basic " + base64.b64encode(b"AC1:secret").decode()
    assert second.headers["Authorization"] == expected


async def test_pages_without_end_are_given_up(service, pricing):
    service.replies = [{"countries": [], "meta": {"next_page_url": "/v2/Voice/Countries?Page=1"}}]
    with pytest.raises(CarrierError):
        await pricing.countries()
    assert len(service.requests) == twilio_reader.PAGES_MAX


@pytest.mark.parametrize(
    ("caller_id", "mobile_micros"),
    [("+442079460018", 30_001), ("+493012345", 30_001), ("+4989123456", 200_000), ("", 200_000)],
)
async def test_prices_are_rounded_up_and_those_of_the_callers_origin(
    service, pricing, caller_id, mobile_micros
):
    service.replies = [GB]
    found = {price.prefix: price for price in await pricing.prices("GB", caller_id)}
    assert found.keys() == {"44", "442", "447"}
    assert found["44"] == PrefixPrice("44", "United Kingdom", "GB", 15_800, "USD")
    assert found["447"].per_minute_micros == mobile_micros
    assert service.requests[0].path_qs == "/v2/Voice/Countries/GB"


async def test_a_prefix_without_price_for_the_callers_origin_has_none(service, pricing):
    service.replies = [GB | {"outbound_prefix_prices": GB["outbound_prefix_prices"][1:2]}]
    assert await pricing.prices("GB", "+15005550006") == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_passes_is_repeated(service, pricing, status):
    service.replies = [(status, {}, {}), (status, {}, {"Retry-After": "0"}), GB]
    assert len(await pricing.prices("GB")) == 3
    assert len(service.requests) == 3


async def test_it_waits_as_long_as_it_is_asked_to_within_bounds(service, pricing, monkeypatch):
    monkeypatch.setattr(twilio_reader, "RETRY_AFTER_MAX_S", 0.05)
    service.replies = [(429, {}, {"Retry-After": "3600"}), (429, {}, {"Retry-After": "soon"}), GB]
    started = time.monotonic()
    await pricing.prices("GB")
    assert 0.05 <= time.monotonic() - started < 5


@pytest.mark.parametrize(("status", "requests"), [(401, 1), (404, 1), (302, 1), (503, 5)])
async def test_a_refusal_is_told_with_its_status(service, pricing, status, requests):
    service.replies = [(status, {}, {"Location": "https://elsewhere.example/"})]
    with pytest.raises(CarrierError, match="refused") as caught:
        await pricing.prices("GB")
    assert caught.value.status == status
    assert len(service.requests) == requests


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[" * 100_000,
        b'{"iso_country":"GB"}',
        b" " * (4 * 1024 * 1024 + 1),
        GB | {"outbound_prefix_prices": [{"destination_prefixes": ["44"], "current_price": "NaN"}]},
        GB | {"outbound_prefix_prices": [{"destination_prefixes": ["44"], "current_price": -1}]},
        GB | {"outbound_prefix_prices": [{"destination_prefixes": ["4"], "current_price": "1e99"}]},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_nonsense_is_told(service, pricing, body):
    service.replies = [body]
    with pytest.raises(CarrierError, match="understood"):
        await pricing.prices("GB")


async def test_silence_and_closed_doors_are_told():
    async with pricing_at(f"http://127.0.0.1:{free_port()}", timeout_s=0.1) as pricing:
        with pytest.raises(CarrierError, match="no answer"):
            await pricing.countries()


def test_prices_are_asked_for_beside_the_rest_api():
    for twilio in ("https://api.twilio.com", "https://api.dublin.ie1.twilio.com"):
        assert origin_of(twilio, "pricing") == "https://pricing.twilio.com"
    for elsewhere in ("http://127.0.0.1:8090", "https://api.nottwilio.com"):
        assert origin_of(elsewhere, "pricing") == elsewhere
