"""Twilio's high-risk prefixes, read from a local service that speaks its Voice API."""

import pytest

from gateway.carriers.twilio import dialing as twilio_dialing
from gateway.carriers.twilio.dialing import HIGH_RISK_LIST, Country, TwilioDialing
from gateway.carriers.twilio.reader import TwilioReader
from gateway.errors import CarrierError

COUNTRIES = "/v1/DialingPermissions/Countries"
LATVIA = Country("LV", ("+371",))


def page(*content, after=None):
    return {"content": list(content), "meta": {"next_page_url": after, "key": "content"}}


def prefixes(*listed, after=None):
    return page(*({"prefix": prefix} for prefix in listed), after=after)


@pytest.fixture
async def dialing(service):
    reader = TwilioReader(
        HIGH_RISK_LIST,
        base_url=service.url,
        username="AC1",
        password="secret",
        timeout_s=5,
        backoff_s=0.001,
    )
    async with reader:
        yield TwilioDialing(reader)


async def test_countries_are_read_with_what_the_account_may_call(service, dialing):
    elsewhere = f"https://elsewhere.example{COUNTRIES}?PageSize=1000&Page=1&PageToken=PT1"
    latvia = {
        "iso_code": "LV",
        "country_codes": ["+371"],
        "name": "Latvia",
        "high_risk_special_numbers_enabled": None,
        "high_risk_tollfraud_numbers_enabled": True,
    }
    service.replies = [page({"iso_code": "DE"}, after=elsewhere), page(latvia)]
    assert await dialing.countries() == [
        Country("DE"),
        Country("LV", ("+371",), None, True),
    ]
    assert [request.path_qs for request in service.requests] == [
        f"{COUNTRIES}?PageSize=1000",
        f"{COUNTRIES}?PageSize=1000&Page=1&PageToken=PT1",
    ]


async def test_prefixes_are_read_page_by_page_as_digits(service, dialing):
    following = f"{COUNTRIES}/LV/HighRiskSpecialPrefixes?Page=1&PageToken=PT1"
    service.replies = [prefixes("+37181", "+3719000", after=following), prefixes("+371")]
    assert await dialing.prefixes(LATVIA) == ["37181", "3719000", "371"]
    assert service.requests[0].path_qs == f"{COUNTRIES}/LV/HighRiskSpecialPrefixes?PageSize=1000"
    assert service.requests[1].path_qs == following


async def test_a_country_may_have_none(service, dialing):
    service.replies = [prefixes()]
    assert await dialing.prefixes(Country("IN")) == []


BROKEN = ["", "+", "+0371", "x", "+3718x", "+1234567890123456", None]
BROKEN += ["37181", "-371", "+371 81", "+371-81", "(371)", "+371\n", "+٣٧١", "x" * 9_999]


@pytest.mark.parametrize("prefix", BROKEN)
async def test_a_prefix_that_cannot_be_read_fails_the_list(service, dialing, prefix):
    service.replies = [prefixes("+37181", prefix)]
    with pytest.raises(CarrierError, match="list of high-risk prefixes could not be understood"):
        await dialing.prefixes(LATVIA)


async def test_what_cannot_be_read_is_named(service, dialing):
    service.replies = [prefixes("-1" + "x" * 9_999)]
    with pytest.raises(CarrierError, match=r"LV lists '-1x{38}', which is no prefix\.$"):
        await dialing.prefixes(LATVIA)


@pytest.mark.parametrize(
    ("country", "prefix", "codes"),
    [
        (Country("CH", ("+41",)), "+1", r"\+41"),
        (Country("CH", ("+41",)), "+4", r"\+41"),
        (Country("DO", ("+1809", "+1829")), "+1", r"\+1809, \+1829"),
        (Country("CH"), "+41", "unknown"),
        (Country("CH", ("", "+")), "+41", "unknown"),
    ],
)
async def test_a_prefix_of_other_countries_fails_the_list(service, dialing, country, prefix, codes):
    service.replies = [prefixes(prefix)]
    told = rf"{country.iso_code} lists \{prefix}, and its country code is {codes}\.$"
    with pytest.raises(CarrierError, match=told):
        await dialing.prefixes(country)


async def test_a_country_may_have_several_codes(service, dialing):
    service.replies = [prefixes("+18091", "+18292")]
    dominican = Country("DO", ("+1809", "+1829"))
    assert await dialing.prefixes(dominican) == ["18091", "18292"]


@pytest.mark.parametrize("meta", [{"next_page_url": ""}, {}])
async def test_a_page_that_does_not_say_whether_it_is_the_last_fails_the_list(
    service, dialing, meta
):
    service.replies = [{"content": [{"prefix": "+37181"}], "meta": meta}]
    with pytest.raises(CarrierError, match="could not be understood"):
        await dialing.prefixes(LATVIA)


@pytest.mark.parametrize("iso_code", ["../x", "", "LVA", None])
async def test_a_country_that_is_none_fails_the_list(service, dialing, iso_code):
    service.replies = [page({"iso_code": "LV"}, {"iso_code": iso_code})]
    with pytest.raises(CarrierError):
        await dialing.countries()


async def test_no_country_at_all_is_no_list(service, dialing):
    service.replies = [page()]
    with pytest.raises(CarrierError):
        await dialing.countries()


async def test_lists_without_end_are_given_up(service, dialing, monkeypatch):
    monkeypatch.setattr(twilio_dialing, "PREFIXES_PER_COUNTRY_MAX", 5)
    monkeypatch.setattr(twilio_dialing, "COUNTRIES_MAX", 5)
    service.replies = [prefixes("+37181", "+37182", after="/more")]
    with pytest.raises(CarrierError):
        await dialing.prefixes(LATVIA)
    assert len(service.requests) == 3
    service.replies = [page({"iso_code": "LV"}, {"iso_code": "LT"}, after="/more")]
    with pytest.raises(CarrierError):
        await dialing.countries()
    assert len(service.requests) == 6


async def test_what_passes_is_repeated_and_a_refusal_is_told(service, dialing):
    service.replies = [(503, {}, {}), (429, {}, {"Retry-After": "0"}), prefixes("+37181")]
    assert await dialing.prefixes(LATVIA) == ["37181"]
    service.replies = [(401, {}, {})]
    with pytest.raises(CarrierError, match="refused to show its list of high-risk") as caught:
        await dialing.prefixes(LATVIA)
    assert caught.value.status == 401
