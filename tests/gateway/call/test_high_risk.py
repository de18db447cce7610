"""Destinations that are closed unless opened: the longest prefix decides."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call.high_risk import HIGH_RISK, SHIPPED, ClosedList

DIGITS = st.text("1234", min_size=1, max_size=8)


def test_prefixes_are_digits_and_none_repeats_another():
    for prefix, whose in HIGH_RISK.items():
        assert re.fullmatch(r"[1-9][0-9]{0,14}", prefix)
        assert whose
        assert not [other for other in HIGH_RISK if other != prefix and prefix.startswith(other)]


@pytest.mark.parametrize(
    ("digits", "opened", "expected"),
    [
        ("5371234567", (), True),
        ("5371234567", ("53",), False),
        ("5371234567", ("537",), False),
        ("5351234567", ("537",), True),
        ("5371234567", ("5",), True),
        ("5371234567", ("252",), True),
        ("78401234567", (), True),
        ("79401234567", (), True),
        ("78401234567", ("7",), True),
        ("79161234567", (), False),
        ("442079460018", (), False),
        ("", (), False),
    ],
)
def test_the_longest_prefix_decides(digits, opened, expected):
    assert ClosedList(opened).closes(digits) is expected


CARRIERS = {"37181": "LV", "3719000": "LV", "535": "CU"}


@pytest.mark.parametrize(
    ("digits", "opened", "expected"),
    [
        ("37181123456", (), True),
        ("37191123456", (), False),
        ("37190001234", (), True),
        ("37181123456", ("37181",), False),
        ("37181123456", ("3718112",), False),
        ("37182123456", ("3718112",), False),
        # Opened as a whole; the carrier's own ranges within stay closed.
        ("37181123456", ("371",), True),
        ("5371234567", ("53",), False),
        ("5351234567", ("53",), True),
        ("5351234567", ("53", "535"), False),
    ],
)
def test_the_carriers_list_closes_beside_the_shipped_one(digits, opened, expected):
    assert ClosedList(opened, CARRIERS).closes(digits) is expected


def test_what_a_prefix_opens_is_named():
    assert SHIPPED.opens("53") == SHIPPED.opens("5351") == "Cuba"
    assert SHIPPED.opens("5") == SHIPPED.opens("44") == SHIPPED.opens("37181") == ""
    assert ClosedList((), CARRIERS).opens("371811") == "LV"
    assert ClosedList((), CARRIERS).opens("371") == ""


@given(st.lists(DIGITS), st.dictionaries(DIGITS, st.just("XY")), DIGITS)
def test_the_decision_is_that_of_the_longest_prefix_of_any_list(opened, carriers, digits):
    known = dict.fromkeys([*HIGH_RISK, *carriers], True) | dict.fromkeys(opened, False)
    deciding = [digits[:n] for n in range(len(digits) + 1) if digits[:n] in known]
    expected = known[deciding[-1]] if deciding else False
    assert ClosedList(opened, carriers).closes(digits) is expected
