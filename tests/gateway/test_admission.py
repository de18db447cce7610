"""Which numbers may be dialled at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import Destination, destination
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
    assert destination("+53 7 123 4567", [opened]) == Destination("+5371234567", "CU")


def test_opening_a_destination_opens_no_premium_number():
    with pytest.raises(RequestRefusedError) as caught:
        destination("+19005551234", ["1900"])
    assert caught.value.code == "number_premium"


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text):
    try:
        assert destination(text).number.startswith("+")
    except RequestRefusedError:
        pass
