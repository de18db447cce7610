"""Declares the page of rates; the dataclass is all that its template gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class RateRow:
    """What calls to some numbers of a country cost."""

    description: str
    prefixes: str
    """The first of them, with their plus signs."""
    has_more_prefixes: bool
    per_minute: str
    connect_fee: str
    """Empty for none."""
    minimum: str
    """Empty for none."""
    first_s: int
    next_s: int
    free_s: int
    minutes: int
    """How long `RatesPage.credit` lasts."""
    is_closed: bool


@dataclass(frozen=True, slots=True)
class CountryRates:
    """A country in the list of all."""

    code: str
    from_price: str
    """Price of the cheapest minute; empty if the whole country is closed."""


@dataclass(frozen=True, slots=True)
class RatesPage:
    """What calls cost, to a country, to a number, or to each country."""

    template: ClassVar[str] = "rates.html"
    credit: str
    """The amount that minutes are shown for, as money."""
    countries: Sequence[CountryRates]
    country: str = ""
    """The requested one; empty for none."""
    rates: Sequence[RateRow] = ()
    number: str = ""
    refusal: str = ""
    """Why a number cannot be called: a key of the words under `problem.`; empty if it can."""
    errors: Mapping[str, str] = field(default_factory=dict)
