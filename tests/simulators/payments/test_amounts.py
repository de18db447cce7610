"""Amounts in a currency's smallest unit."""

from __future__ import annotations

import pytest

from simulators.payments.amounts import check_amount, formatted, read_currency
from simulators.payments.errors import ApiError


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(2505, "eur", "25.05 EUR"), (2500, "jpy", "2500 JPY"), (2500, "kwd", "2.500 KWD")],
)
def test_amounts_are_written_with_their_decimals(amount: int, currency: str, text: str) -> None:
    assert formatted(amount, currency) == text


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(50, "eur"), (99_999_999, "usd"), (51, "jpy"), (2510, "kwd"), (2500, "isk")],
)
def test_what_can_be_charged(amount: int, currency: str) -> None:
    check_amount(amount, currency)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(49, "eur"), (100_000_000, "usd"), (-50, "eur"), (2511, "kwd"), (2550, "ugx")],
)
def test_what_cannot_be_charged(amount: int, currency: str) -> None:
    with pytest.raises(ApiError):
        check_amount(amount, currency)


def test_only_currencies_that_stripe_charges_in_are_taken() -> None:
    assert [read_currency(text) for text in ("EUR", "jpy", "kwd", "isk")] == [
        "eur",
        "jpy",
        "kwd",
        "isk",
    ]
    for text in ("eu", "euro", "e1r", "", "xts", "xau", "zzz"):
        with pytest.raises(ApiError):
            read_currency(text)
