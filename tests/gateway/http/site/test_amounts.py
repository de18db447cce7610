"""Amounts as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import LIMIT
from gateway.http.site.amounts import parse_amount, typed


@given(st.integers(min_value=1, max_value=LIMIT))
def test_what_is_written_is_read_back(micros):
    assert parse_amount(typed(micros)) == micros


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (3_000, "0.0030"),
        (12_500_000, "12.50"),
        (1_234_500, "1.2345"),
        (25_000_000, "25"),
        (1, "0.000001"),
    ],
)
def test_an_amount_is_written_so_that_nobody_takes_it_for_thousands(micros, text):
    assert typed(micros) == text
    assert parse_amount(text) == micros


@given(st.text(max_size=40))
def test_any_text_is_an_amount_or_none(text):
    micros = parse_amount(text)
    assert micros is None or 0 <= micros <= LIMIT


@pytest.mark.parametrize(
    ("text", "micros"),
    [(" 25 ", 25_000_000), ("12,5", 12_500_000), ("0", 0), ("-1", None), ("1,000.00", None)],
)
def test_an_amount(text, micros):
    assert parse_amount(text) == micros


@pytest.mark.parametrize("text", ["5,000", "100,000", "1.000", "1,000,000", " 2.500 "])
def test_what_some_take_for_thousands_is_no_amount(text):
    assert parse_amount(text) is None


def test_amounts_are_written_as_prices_are():
    assert [typed(micros) for micros in (0, 25_000_000, 12_500_000, 1)] == [
        "",
        "25",
        "12.50",
        "0.000001",
    ]
