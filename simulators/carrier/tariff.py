"""Tables of prices and of countries that may be called, behind two small APIs.

Prices are invented but of the right size; they exist so that quotes, call prices and settlement
have something to agree on. Amounts are `Decimal` US dollars, as in Twilio's JSON strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class Country:
    """A country of the dialling permissions table."""

    iso: str
    name: str
    continent: str
    prefix: str
    """Country code with its plus sign."""
    minute_usd: Decimal
    """Price of a started minute to an ordinary number."""
    low_risk: bool = True
    high_risk: bool = False
    """Special services and toll-fraud ranges."""
    special: tuple[str, ...] = ()
    """Prefixes of special services of high risk: premium and shared-cost numbers, mostly."""


def _country(  # noqa: PLR0917 - a row of the table
    iso: str, name: str, continent: str, prefix: str, minute: str, special: str = ""
) -> Country:
    ranges = tuple(f"{prefix}{digits}" for digits in special.split())
    return Country(iso, name, continent, prefix, Decimal(minute), special=ranges)


_UK_SPECIAL = " ".join(
    [
        *(f"70{digit}" for digit in range(10)),
        "843",
        "844",
        "845",
        "870",
        "871",
        "872",
        "873",
        *(f"90{digit}" for digit in range(10)),
        *(f"91{digit}" for digit in range(10)),
        *(f"98{digit}" for digit in range(10)),
        *(f"76{digit}" for digit in range(10) if digit != 4),
    ]
)
"""More than one page of Twilio's default size."""


COUNTRIES: Final[tuple[Country, ...]] = (
    _country("AT", "Austria", "EUROPE", "+43", "0.0250", "810 820 821 828 900 901 930 931 939"),
    _country("AU", "Australia", "OCEANIA", "+61", "0.0252", "190"),
    _country("BR", "Brazil", "SOUTH_AMERICA", "+55", "0.0300", "300 500 900"),
    _country("CA", "Canada", "NORTH_AMERICA", "+1", "0.0140", "900"),
    _country("CH", "Switzerland", "EUROPE", "+41", "0.0440", "84 900 901 906"),
    _country("DE", "Germany", "EUROPE", "+49", "0.0275", "137 180 900"),
    _country("ES", "Spain", "EUROPE", "+34", "0.0248", "803 806 807 901 902 905"),
    _country("FR", "France", "EUROPE", "+33", "0.0187", "81 82 89"),
    _country("GB", "United Kingdom", "EUROPE", "+44", "0.0158", _UK_SPECIAL),
    _country("IE", "Ireland", "EUROPE", "+353", "0.0320", "1515 1520 1550 1590 1850 1890"),
    _country("IN", "India", "ASIA", "+91", "0.0497"),
    _country("IT", "Italy", "EUROPE", "+39", "0.0240", "166 84 892 899"),
    _country("JP", "Japan", "ASIA", "+81", "0.0746", "570 990"),
    Country(
        "LV",
        "Latvia",
        "EUROPE",
        "+371",
        Decimal("0.4650"),
        low_risk=False,
        # Twilio's own example of this list.
        special=("+37181", "+3719000"),
    ),
    _country("MX", "Mexico", "NORTH_AMERICA", "+52", "0.0180"),
    _country("NL", "Netherlands", "EUROPE", "+31", "0.0290", "84 87 900 906 909"),
    _country("PL", "Poland", "EUROPE", "+48", "0.0210", "300 400 700 701 703 704 708"),
    _country("US", "United States", "NORTH_AMERICA", "+1", "0.0140", "900"),
    _country("ZA", "South Africa", "AFRICA", "+27", "0.1200", "86"),
)
BY_ISO: Final = {country.iso: country for country in COUNTRIES}
MINUTE_ELSEWHERE_USD: Final = Decimal("0.2500")


def minute_usd(number: str) -> Decimal:
    """Return the price of one started minute to a number: the longest prefix wins."""
    matches = [c for c in COUNTRIES if number.startswith(c.prefix)]
    if not matches:
        return MINUTE_ELSEWHERE_USD
    # The United States and Canada share +1 at one price, so it does not matter which of them wins.
    return max(matches, key=lambda c: len(c.prefix)).minute_usd


def call_price(number: str, minutes: int) -> str:
    """Return a call's price as Twilio writes it: a negative amount with five decimals."""
    return f"{-minute_usd(number) * minutes:.5f}"
