"""What Twilio charges to call each prefix: its Pricing API (v2, Voice Countries).

Only reads, so that any request may be repeated. Knows no rate deck and no margin.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from billing.money import MICROS_PER_UNIT
from billing.rating import RATE_MICROS_MAX
from gateway.cause import Cause
from gateway.errors import CarrierError

ATTEMPTS = 5
BACKOFF_S = 0.5
"""Wait before the second attempt; doubled before each further one."""
RETRY_AFTER_MAX_S = 30.0
"""Longest wait that Twilio can ask for."""
PAGES_MAX = 50
BODY_BYTES_MAX = 4 * 1024 * 1024

_TOO_MANY_REQUESTS = 429
_PRICE_MAX = RATE_MICROS_MAX // MICROS_PER_UNIT
_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)
_PREFIX = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_ANY_ORIGIN = frozenset({"ALL", "ROW"})
"""All caller numbers, and those of the rest of the world, which no listed prefix begins."""


class Country(msgspec.Struct, frozen=True):
    """A country that Twilio has prices for."""

    iso_country: str
    """ISO 3166 alpha-2."""
    country: str
    """Its name in English."""


class PrefixPrice(msgspec.Struct, frozen=True):
    """What a minute to the numbers of a prefix costs."""

    prefix: str
    description: str
    country: str
    per_minute_micros: int
    """Of the account's own price, discounts included, rounded up."""
    currency: str
    """ISO 4217."""


class _Meta(msgspec.Struct):
    next_page_url: str | None = None


class _CountriesPage(msgspec.Struct):
    countries: list[Country]
    meta: _Meta


class _Price(msgspec.Struct):
    destination_prefixes: list[str]
    current_price: Decimal | None
    friendly_name: str = ""
    origination_prefixes: list[str] = msgspec.field(default_factory=lambda: ["ALL"])


class _CountryPrices(msgspec.Struct):
    iso_country: str
    price_unit: str
    outbound_prefix_prices: list[_Price]


_Reply = TypeVar("_Reply", _CountriesPage, _CountryPrices)


def pricing_origin(carrier_url: str) -> str:
    """Return where prices are asked for, given the origin of the carrier's REST API.

    Twilio has one host for them; whoever stands in for it answers at one address.
    """
    host = urlsplit(carrier_url).hostname or ""
    return "https://pricing.twilio.com" if host.endswith(".twilio.com") else carrier_url


class TwilioPricing:
    """A Twilio account's price list. An async context manager."""

    def __init__(
        self,
        *,
        base_url: str,
        username: str,
        password: str,
        timeout_s: float,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> TwilioPricing:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers={"Authorization": f"Basic {self._credentials}"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def countries(self) -> Sequence[Country]:
        """Return all countries that have prices, in Twilio's order. Raises CarrierError."""
        return [country async for country in self._countries()]

    async def _countries(self) -> AsyncIterator[Country]:
        target = "/v2/Voice/Countries?PageSize=500"
        for _ in range(PAGES_MAX):
            page = await self._get(target, _CountriesPage)
            for country in page.countries:
                if _COUNTRY.fullmatch(country.iso_country):
                    yield country
            if not page.meta.next_page_url:
                return
            # Only where it leads, never to whom: the credentials go with the request.
            following = urlsplit(page.meta.next_page_url)
            target = f"/{following.path.lstrip('/')}?{following.query}"
        raise _nonsense()

    async def prices(self, iso_country: str, caller_id: str = "") -> Sequence[PrefixPrice]:
        """Return a country's prices for calls shown as from `caller_id`, one per prefix.

        Without a caller id the dearest origin counts. Raises CarrierError.
        """
        found = await self._get(f"/v2/Voice/Countries/{iso_country}", _CountryPrices)
        digits = caller_id.removeprefix("+")
        best: dict[str, tuple[int, int, str]] = {}
        for price in found.outbound_prefix_prices:
            nearness = _nearness(price.origination_prefixes, digits)
            if price.current_price is None or nearness is None:
                continue
            ranked = (nearness, _micros(price.current_price), price.friendly_name)
            for prefix in filter(_PREFIX.fullmatch, price.destination_prefixes):
                best[prefix] = max(best.get(prefix, ranked), ranked)
        return [
            PrefixPrice(prefix, name, found.iso_country, micros, found.price_unit.upper())
            for prefix, (_, micros, name) in best.items()
        ]

    async def _get(self, target: str, kind: type[_Reply]) -> _Reply:
        """Return a resource; repeated where Twilio is busy, broken or silent."""
        for attempt in range(ATTEMPTS):
            wait_s = self._backoff_s * 2**attempt
            try:
                status, retry_after, body = await self._ask(target)
            except (aiohttp.ClientError, OSError) as error:  # OSError includes TimeoutError
                if attempt == ATTEMPTS - 1:
                    raise _failure("The carrier's price list gave no answer.") from error
            else:
                if status == 200:
                    return _decoded(body, kind)
                is_passing = status == _TOO_MANY_REQUESTS or status >= 500
                if not is_passing or attempt == ATTEMPTS - 1:
                    raise _failure("The carrier refused to show its price list.", status)
                if _SECONDS.fullmatch(retry_after):
                    wait_s = min(float(retry_after), RETRY_AFTER_MAX_S)
            await asyncio.sleep(wait_s)
        raise AssertionError

    async def _ask(self, target: str) -> tuple[int, str, bytes]:
        """Return status, Retry-After and body, which is read no further than its bound."""
        url = self._base_url + target
        async with self._session.get(url, allow_redirects=False) as reply:
            body = bytearray()
            async for part in reply.content.iter_any():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    raise _nonsense()
            return reply.status, reply.headers.get("Retry-After", "").strip(), bytes(body)


def _decoded(body: bytes, kind: type[_Reply]) -> _Reply:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise _nonsense() from None


def _nearness(origins: Sequence[str], caller_digits: str) -> int | None:
    """Return how many digits of the caller's number an origin names; None where none fits."""
    fitting = [
        0 if origin in _ANY_ORIGIN or not caller_digits else len(origin)
        for origin in origins
        if origin in _ANY_ORIGIN or caller_digits.startswith(origin) or not caller_digits
    ]
    return max(fitting, default=None)


def _micros(price: Decimal) -> int:
    """Return the price in micros, rounded up. Raises CarrierError."""
    if not price.is_finite() or not 0 <= price <= _PRICE_MAX:
        raise _nonsense()
    return int((price * MICROS_PER_UNIT).to_integral_value(ROUND_CEILING))


def _nonsense() -> CarrierError:
    return _failure("The carrier's price list could not be understood.")


def _failure(message: str, status: int = 0) -> CarrierError:
    return CarrierError(message, cause=Cause.NETWORK_OUT_OF_ORDER, status=status)
