"""What a minute costs, and which countries may be called: the tables behind two small APIs.

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


def _country(iso: str, name: str, continent: str, prefix: str, minute: str) -> Country:
    return Country(iso, name, continent, prefix, Decimal(minute))


COUNTRIES: Final[tuple[Country, ...]] = (
    _country("AT", "Austria", "EUROPE", "+43", "0.0250"),
    _country("AU", "Australia", "OCEANIA", "+61", "0.0252"),
    _country("BR", "Brazil", "SOUTH_AMERICA", "+55", "0.0300"),
    _country("CA", "Canada", "NORTH_AMERICA", "+1", "0.0140"),
    _country("CH", "Switzerland", "EUROPE", "+41", "0.0440"),
    _country("DE", "Germany", "EUROPE", "+49", "0.0275"),
    _country("ES", "Spain", "EUROPE", "+34", "0.0248"),
    _country("FR", "France", "EUROPE", "+33", "0.0187"),
    _country("GB", "United Kingdom", "EUROPE", "+44", "0.0158"),
    _country("IE", "Ireland", "EUROPE", "+353", "0.0320"),
    _country("IN", "India", "ASIA", "+91", "0.0497"),
    _country("IT", "Italy", "EUROPE", "+39", "0.0240"),
    _country("JP", "Japan", "ASIA", "+81", "0.0746"),
    Country("LV", "Latvia", "EUROPE", "+371", Decimal("0.4650"), low_risk=False),
    _country("MX", "Mexico", "NORTH_AMERICA", "+52", "0.0180"),
    _country("NL", "Netherlands", "EUROPE", "+31", "0.0290"),
    _country("PL", "Poland", "EUROPE", "+48", "0.0210"),
    _country("US", "United States", "NORTH_AMERICA", "+1", "0.0140"),
    _country("ZA", "South Africa", "AFRICA", "+27", "0.1200"),
)
BY_ISO: Final = {country.iso: country for country in COUNTRIES}
MINUTE_ELSEWHERE_USD: Final = Decimal("0.2500")


def minute_usd(number: str) -> Decimal:
    """Return the price of one started minute to a number: the longest prefix wins."""
    matches = [c for c in COUNTRIES if number.startswith(c.prefix)]
    if not matches:
        return MINUTE_ELSEWHERE_USD
    return max(matches, key=lambda c: len(c.prefix)).minute_usd


def call_price(number: str, minutes: int) -> str:
    """Return a call's price as Twilio writes it: a negative amount with five decimals."""
    return f"{-minute_usd(number) * minutes:.5f}"
