"""Destinations that are closed unless opened: the longest prefix decides."""

import re

import pytest

from gateway.high_risk import HIGH_RISK, closed, opens


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
    assert closed(digits, frozenset(opened)) is expected


def test_what_a_prefix_opens_is_named():
    assert opens("53") == opens("5351") == "Cuba"
    assert opens("5") == opens("44") == ""
