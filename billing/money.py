"""Parses and formats amounts of money, which are integer micros everywhere else.

A micro is a millionth of a currency's unit, so a price per second still has digits to spare. There
is no conversion: an amount without its currency is only a number.
"""

from __future__ import annotations

import re

from billing.errors import MoneyError

MICROS_PER_UNIT = 1_000_000

LIMIT = 2**53 - 1
"""Largest absolute amount in micros: Lua scripts hold numbers as doubles (IEEE 754)."""

# ISO 4217 minor-unit exponents, and the sign used on an English-language page. Dollars of other
# countries have a letter prefix, as Unicode CLDR writes them for "en".
_CURRENCIES: dict[str, tuple[int, str]] = {
    "AED": (2, ""),
    "AUD": (2, "A$"),
    "BHD": (3, ""),
    "BRL": (2, "R$"),
    "CAD": (2, "CA$"),
    "CHF": (2, ""),
    "CLP": (0, ""),
    "CNY": (2, "CN¥"),
    "COP": (2, ""),
    "CZK": (2, ""),
    "DKK": (2, ""),
    "EGP": (2, ""),
    "EUR": (2, "€"),
    "GBP": (2, "£"),
    "HKD": (2, "HK$"),
    "HUF": (2, ""),
    "IDR": (2, ""),
    "ILS": (2, "₪"),
    "INR": (2, "₹"),
    "ISK": (0, ""),
    "JOD": (3, ""),
    "JPY": (0, "¥"),
    "KES": (2, ""),
    "KRW": (0, "₩"),
    "KWD": (3, ""),
    "MXN": (2, "MX$"),
    "MYR": (2, ""),
    "NGN": (2, ""),
    "NOK": (2, ""),
    "NZD": (2, "NZ$"),
    "OMR": (3, ""),
    "PHP": (2, "₱"),
    "PLN": (2, ""),
    "RON": (2, ""),
    "SAR": (2, ""),
    "SEK": (2, ""),
    "SGD": (2, ""),
    "THB": (2, ""),
    "TND": (3, ""),
    "TRY": (2, ""),
    "TWD": (2, "NT$"),
    "UAH": (2, ""),
    "USD": (2, "$"),
    "VND": (0, "₫"),
    "ZAR": (2, ""),
}

# Ten digits of units are enough for LIMIT (9,007,199,254 units) and bound what is converted.
AMOUNT_PATTERN = r"(-?)([0-9]{1,10})(?:\.([0-9]{1,6}))?"
"""What `parse_money` reads, as a regular expression; Python's and JSON Schema's agree on it."""

_AMOUNT = re.compile(AMOUNT_PATTERN, re.ASCII)

_DECIMALS_MAX = 4
"""Decimals shown of an amount that is not a whole number of minor units: "$0.0130"."""


def check_micros(micros: int) -> int:
    """Return `micros` unchanged. Raises MoneyError beyond LIMIT."""
    if not -LIMIT <= micros <= LIMIT:
        raise MoneyError("amount beyond the largest that can be kept exactly")
    return micros


def parse_money(text: str) -> int:
    """Return the micros of a plain decimal amount such as "-12.5".

    At most six decimals, never rounded. Raises MoneyError on anything else: other signs than a
    minus, exponents, separators, blanks.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise MoneyError("not a decimal amount of at most six decimals")
    sign, units, fraction = match.groups()
    micros = int(units) * MICROS_PER_UNIT + int((fraction or "").ljust(6, "0"))
    return check_micros(-micros if sign else micros)


def is_currency(currency: str) -> bool:
    """Return whether amounts in this ISO 4217 code can be shown."""
    return currency in _CURRENCIES


def exponent(currency: str) -> int:
    """Return the decimals of the currency's minor unit: 2 for USD. Raises MoneyError if unknown."""
    return _currency(currency)[0]


def format_money(micros: int, currency: str) -> str:
    """Format an amount: "$1.25", or "€0.0130" if minor units are not enough.

    Digits beyond the fourth decimal are rounded half away from zero. Raises MoneyError on an
    unknown currency.
    """
    minor_digits, sign = _currency(currency)
    whole_minor_units = micros % 10 ** (6 - minor_digits) == 0
    # A price per second needs more digits than a price tag: "$0.0130", not "$0.01".
    decimals = minor_digits if whole_minor_units else min(minor_digits + 2, _DECIMALS_MAX)
    step = 10 ** (6 - decimals)
    scaled = (abs(micros) + step // 2) // step
    units, rest = divmod(scaled, 10**decimals)
    number = f"{units:,}.{rest:0{decimals}d}" if decimals else f"{units:,}"
    # An amount that rounds to zero has no sign.
    minus = "-" if micros < 0 and scaled else ""
    # A no-break space, so that no line breaks between the code and its number.
    return f"{minus}{sign or currency + chr(0xA0)}{number}"


def in_units(micros: int) -> str:
    """Return an amount with all its digits and without currency: "-0.000001"."""
    # Of the absolute value: divmod rounds towards minus infinity, and -1 would become (-1, 999999).
    sign = "-" if micros < 0 else ""
    (units, rest) = divmod(abs(micros), MICROS_PER_UNIT)
    return f"{sign}{units}.{rest:06d}"


def format_exact(micros: int, currency: str) -> str:
    """Format an amount with all its digits where `format_money` would round: "0.000001 USD".

    For amounts that people add up. Raises MoneyError on an unknown currency.
    """
    if micros % 10 ** (6 - min(exponent(currency) + 2, _DECIMALS_MAX)):
        # A no-break space, as in `format_money`.
        return f"{in_units(micros)}\N{NO-BREAK SPACE}{currency}"
    return format_money(micros, currency)


def _currency(currency: str) -> tuple[int, str]:
    try:
        return _CURRENCIES[currency]
    except KeyError:
        raise MoneyError("unknown currency") from None
