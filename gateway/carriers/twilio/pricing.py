"""Reads Twilio's price for calls to each prefix: Pricing API (v2, Voice Countries).

Never writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

import msgspec

from billing.money import MICROS_PER_UNIT
from billing.rating import RATE_MICROS_MAX
from gateway.carriers.port import PrefixPrice
from gateway.carriers.twilio.reader import Meta, TwilioReader

PRICE_LIST = "price list"

_PRICE_MAX = RATE_MICROS_MAX // MICROS_PER_UNIT
_PREFIX = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_ANY_ORIGIN = frozenset({"ALL", "ROW"})
"""All caller numbers, and those of the rest of the world, which no listed prefix matches."""


class _Country(msgspec.Struct):
    iso_country: str
    """ISO 3166 alpha-2."""


class _CountriesPage(msgspec.Struct):
    countries: list[_Country]
    meta: Meta


class _Price(msgspec.Struct):
    destination_prefixes: list[str]
    current_price: Decimal | None
    friendly_name: str = ""
    origination_prefixes: list[str] = msgspec.field(default_factory=lambda: ["ALL"])


class _CountryPrices(msgspec.Struct):
    iso_country: str
    price_unit: str
    outbound_prefix_prices: list[_Price]


class TwilioPricing:
    """A Twilio account's price list."""

    def __init__(self, reader: TwilioReader) -> None:
        """Take the reader of the Pricing API."""
        self._reader = reader

    async def countries(self) -> Sequence[str]:
        """Return all countries that have prices, in Twilio's order. Raises CarrierError."""
        pages = self._reader.pages("/v2/Voice/Countries?PageSize=500", _CountriesPage)
        return [
            country.iso_country
            async for page in pages
            for country in page.countries
            # The code becomes part of a URL.
            if _COUNTRY.fullmatch(country.iso_country)
        ]

    async def prices(self, iso_country: str, caller_id: str = "") -> Sequence[PrefixPrice]:
        """Return a country's prices for calls shown as from `caller_id`, one per prefix.

        Without a caller id the most expensive origin counts. Raises CarrierError.
        """
        found = await self._reader.get(f"/v2/Voice/Countries/{iso_country}", _CountryPrices)
        digits = caller_id.removeprefix("+")
        best: dict[str, tuple[int, int, str]] = {}
        for price in found.outbound_prefix_prices:
            nearness = _nearness(price.origination_prefixes, digits)
            # Not sold, or not to callers of this number.
            if price.current_price is None or nearness is None:
                continue
            # The origin nearest to the caller's number wins; of equal ones the higher price, to be
            # safe.
            ranked = (nearness, self._micros(price.current_price), price.friendly_name)
            for prefix in filter(_PREFIX.fullmatch, price.destination_prefixes):
                best[prefix] = max(best.get(prefix, ranked), ranked)
        return [
            PrefixPrice(prefix, name, found.iso_country, micros, found.price_unit.upper())
            for prefix, (_, micros, name) in best.items()
        ]

    def _micros(self, price: Decimal) -> int:
        """Return the price in micros, rounded up. Raises CarrierError."""
        if not price.is_finite() or not 0 <= price <= _PRICE_MAX:
            raise self._reader.nonsense()
        # Up, so that nothing is sold below what it costs by a rounding.
        return int((price * MICROS_PER_UNIT).to_integral_value(ROUND_CEILING))


def _nearness(origins: Sequence[str], caller_digits: str) -> int | None:
    """Return how many digits of the caller's number an origin matches; None if none fits."""
    fitting = [
        0 if origin in _ANY_ORIGIN or not caller_digits else len(origin)
        for origin in origins
        if origin in _ANY_ORIGIN or caller_digits.startswith(origin) or not caller_digits
    ]
    return max(fitting, default=None)
