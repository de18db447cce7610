"""Which numbers may be dialled at all."""

import itertools

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import shortnumberinfo

from gateway.call import number
from gateway.call.high_risk import ClosedList
from gateway.call.number import TEXT_CHARACTERS_MAX, Destination, destination
from gateway.errors import RequestRefusedError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+15005551000", Destination("+15005551000", "US")),
        ("+1 (415) 555-2671", Destination("+14155552671", "US")),
        (" tel:+44-20-7946-0018 ", Destination("+442079460018", "GB")),
        ("+49 1511 2345678", Destination("+4915112345678", "DE")),
        ("+1.876.555.1234", Destination("+18765551234", "JM")),
        ("+33\u00a01\u202f23 45 67 89".replace("\u202f", " "), Destination("+33123456789", "FR")),
    ],
)
def test_a_number_is_read_as_people_write_it(text, expected):
    assert destination(text) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "number_invalid"),
        ("hello", "number_invalid"),
        ("15005551000", "number_invalid"),
        ("+1500555100012345678", "number_invalid"),
        ("+999123456789", "number_invalid"),
        ("+١٥٠٠٥٥٥١٠٠٠", "number_invalid"),
        ("+1 415 555", "number_too_short"),
        ("+12", "number_too_short"),
        ("911", "number_emergency"),
        ("+112", "number_emergency"),
        ("999", "number_emergency"),
        ("+44 999", "number_emergency"),
        ("+1911", "number_emergency"),
        ("+49110", "number_emergency"),
        ("+19005551234", "number_premium"),
        ("+44 9012 345678", "number_premium"),
        ("+44 7012 345678", "number_premium"),
        ("+33 8 99 12 34 56", "number_premium"),
        ("+881 6 123 45678", "number_premium"),
        ("+8823456789012", "number_premium"),
        # Ranges that Twilio lists as special services of high risk.
        ("+371 81 123 456", "number_premium"),
        ("+371 90 001 234", "number_premium"),
        ("+7 840 123 45 67", "number_high_risk"),
        ("+7 940 123 45 67", "number_high_risk"),
        ("+269 321 23 45", "number_high_risk"),
        ("+53 7 123 4567", "number_high_risk"),
        ("+252 61 234 5678", "number_high_risk"),
    ],
)
def test_a_number_is_refused_with_its_reason(text, code):
    with pytest.raises(RequestRefusedError) as caught:
        destination(text)
    assert (caught.value.code, caught.value.field) == (code, "destination")


@pytest.mark.parametrize("opened", ["53", "537"])
def test_the_operator_opens_high_risk_destinations(opened):
    assert destination("+53 7 123 4567", ClosedList([opened])) == Destination("+5371234567", "CU")


def test_a_number_of_the_carriers_list_is_refused_unless_it_is_opened():
    carriers = {"37120": "LV"}
    with pytest.raises(RequestRefusedError) as caught:
        destination("+371 20 123 456", ClosedList((), carriers))
    assert caught.value.code == "number_high_risk"
    assert destination("+371 20 123 456").country == "LV"
    assert destination("+371 20 123 456", ClosedList(["37120"], carriers)).country == "LV"


def test_opening_a_destination_opens_no_premium_number():
    with pytest.raises(RequestRefusedError) as caught:
        destination("+19005551234", ClosedList(["1900"], {"1900": "US"}))
    assert caught.value.code == "number_premium"


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text):
    try:
        assert destination(text).number.startswith("+")
    except RequestRefusedError:
        pass


def test_a_text_that_is_longer_than_any_number_is_looked_at_no_further():
    assert destination(" " * (TEXT_CHARACTERS_MAX - 12) + "+14155552671").country == "US"
    with pytest.raises(RequestRefusedError) as caught:
        destination("-" * TEXT_CHARACTERS_MAX + "+")
    assert caught.value.code == "number_invalid"


def is_emergency_to_the_library(digits):
    """Ask the library about each region, as it is meant to be asked."""
    regions = phonenumbers.SUPPORTED_SHORT_REGIONS
    if any(shortnumberinfo.is_emergency_number(digits, region) for region in regions):
        return True
    return any(
        shortnumberinfo.is_emergency_number(digits[length:], region)
        for length in (1, 2, 3)
        if digits[:length]
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length]), ())
    )


def test_emergency_codes_are_those_of_the_library():
    """All of up to three digits, and of four to six those that are codes behind a country code."""
    short = ("".join(d) for n in (1, 2, 3) for d in itertools.product("0123456789", repeat=n))
    behind = ("+1911", "+49110", "+44999", "+44112", "+86110", "+7112", "+420112", "+99911")
    longer = (text[1:] for text in behind)
    for digits in itertools.chain(short, longer):
        assert number._is_emergency(digits) == is_emergency_to_the_library(digits), digits


@given(st.text("0123456789", max_size=7))
def test_no_digits_are_judged_otherwise_than_by_the_library(digits):
    expected = len(digits) <= 6 and is_emergency_to_the_library(digits)
    assert number._is_emergency(digits) == expected


def test_no_number_costs_more_work_than_one_that_is_dialled(monkeypatch):
    """Counted in questions to the library, which are what takes time."""
    number.load_numbering_plans()
    asked = []
    for name in ("is_emergency_number", "is_valid_short_number", "connects_to_emergency_number"):
        monkeypatch.setattr(shortnumberinfo, name, lambda *_, name=name: asked.append(name))
    loaded = number._emergency_codes.cache_info().misses
    for text in ("12345", "+123456", "911", "000000", "", "+9"):
        with pytest.raises(RequestRefusedError):
            destination(text)
    assert asked == []
    assert number._emergency_codes.cache_info().misses == loaded


def test_the_countries_of_numbers_are_known():
    assert {"DE", "GB", "JM", "US"} < number.countries()
    assert not {"UK", "001", ""} & number.countries()
