"""Amounts at the edges: read exactly or not at all, shown without hiding what matters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import MoneyError
from billing.money import LIMIT, check_micros, exponent, format_money, is_currency, parse_money


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("1.25", 1_250_000),
        ("-12.5", -12_500_000),
        ("0.000001", 1),
        ("007", 7_000_000),
        ("9007199254.740991", LIMIT),
        ("-9007199254.740991", -LIMIT),
    ],
)
def test_reads_plain_decimals(text, micros):
    assert parse_money(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "1.",
        ".5",
        "+1",
        "1,000",
        "1_000",
        " 1",
        "1 ",
        "1\n",
        "1e3",
        "nan",
        "inf",
        "0x1",
        "1.0000001",
        "--1",
        "١",
        "１",
        "9007199254.740992",
        "99999999999",
    ],
)
def test_refuses_all_else(text):
    with pytest.raises(MoneyError):
        parse_money(text)


@given(st.text())
def test_any_text_is_an_amount_or_a_money_error(text):
    try:
        assert abs(parse_money(text)) <= LIMIT
    except MoneyError:
        pass


@given(st.integers(-LIMIT, LIMIT))
def test_reads_back_every_amount(micros):
    units, fraction = divmod(abs(micros), 10**6)
    assert parse_money(f"{'-' * (micros < 0)}{units}.{fraction:06d}") == micros


def test_amounts_end_at_53_bits():
    assert check_micros(LIMIT) == LIMIT
    for micros in (LIMIT + 1, -LIMIT - 1):
        with pytest.raises(MoneyError):
            check_micros(micros)


@pytest.mark.parametrize(
    ("micros", "currency", "text"),
    [
        (1_250_000, "USD", "$1.25"),
        (0, "USD", "$0.00"),
        (13_000, "EUR", "€0.0130"),
        (-13_000, "EUR", "-€0.0130"),
        (1_234_567_890_000, "USD", "$1,234,567.89"),
        (999_950, "USD", "$1.0000"),
        (49, "USD", "$0.0000"),
        (-49, "USD", "$0.0000"),
        (50, "USD", "$0.0001"),
        (120_000_000, "JPY", "¥120"),
        (1_200_000, "JPY", "¥1.20"),
        (1_250_000, "KWD", "KWD\u00a01.250"),
        (1_250_500, "KWD", "KWD\u00a01.2505"),
        (-1_250_000, "CHF", "-CHF\u00a01.25"),
        (1_000_000, "CAD", "CA$1.00"),
    ],
)
def test_shows_minor_units_and_more_where_they_matter(micros, currency, text):
    assert format_money(micros, currency) == text


@given(st.integers(-LIMIT, LIMIT), st.sampled_from(["USD", "GBP", "JPY", "KRW"]))
def test_what_is_shown_is_right_to_half_a_digit(micros, currency):
    text = format_money(micros, currency).replace(",", "").strip("-$£¥₩")
    decimals = len(text.partition(".")[2])
    assert exponent(currency) <= decimals <= 4
    assert abs(parse_money_unbounded(text) - abs(micros)) * 2 <= 10 ** (6 - decimals)


def parse_money_unbounded(text):
    units, _, fraction = text.partition(".")
    return int(units) * 10**6 + int(fraction.ljust(6, "0"))


def test_knows_its_currencies():
    assert is_currency("USD")
    assert not is_currency("usd")
    assert exponent("JPY") == 0
    for show in (lambda: exponent("ABC"), lambda: format_money(1, "ABC")):
        with pytest.raises(MoneyError):
            show()
