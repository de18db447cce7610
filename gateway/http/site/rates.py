"""Serves `/rates` to anyone: what calls cost, to a country or to a number.

A number comes in a body, because proxies log URLs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from billing.money import MICROS_PER_UNIT, format_money
from billing.rate_deck import DeckEntry, RateGroup, lasting_minutes
from gateway.call.number import destination
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.calls.rate_table import Countries, RateTable
from gateway.charging.current_rates import CurrentRates
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.site.countries import in_words, sort_key
from gateway.http.site.door import Door, language_of
from gateway.http.site.forms import NumberFields, read_form
from gateway.http.site.rate_pages import CountryRates, RateRow, RatesPage
from gateway.http.velocity import address_of
from gateway.limits.velocity import rate_uses, refuse
from gateway.ports import Velocity

RATES: Final = "/rates"
EXAMPLE_MICROS: Final = 5 * MICROS_PER_UNIT
"""The credit that minutes are shown for."""
PREFIXES_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class RatesPages:
    """Handlers of the page of rates."""

    door: Door
    velocity: Velocity
    rates: CurrentRates
    closed_destinations: ClosedDestinations
    table: RateTable
    currency: str
    """The deck's currency, ISO 4217."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the page's routes."""
        return [self.door.page(RATES, self.show), self.door.form(RATES, self.find)]

    async def show(self, request: Request) -> Response:
        """Show a country's rates, if one is requested, and the list of all countries."""
        await self.door.recognise(request)
        countries = await self.table.countries()
        asked = request.query_params.get("country", "")
        if countries and asked and asked not in countries:
            errors = {"country": "country_unknown"}
            return await self._page(request, countries, errors=errors, status=422)
        country = asked if asked in countries else ""
        language = language_of(request)
        rows = [self._row(each, country, language) for each in countries.get(country, ())]
        return await self._page(request, countries, country=country, rates=rows)

    async def find(self, request: Request) -> Response:
        """Show the rate of a number, or why it cannot be called."""
        # Counted before the number is read, so that probing the lists is limited as well.
        refuse(await self.velocity.hit(rate_uses(address_of(request))))
        await self.door.recognise(request)
        fields = await read_form(request, NumberFields)
        countries = await self.table.countries()
        if not fields.number.strip():
            return await self._page(
                request, countries, errors={"number": "number_needed"}, status=422
            )
        number, entry, refusal = self._lookup(fields.number)
        if entry is None:
            # An ordinary answer: the question was what a call costs, and it is not offered.
            return await self._page(request, countries, number=number, refusal=refusal)
        group = RateGroup(entry.description, entry.rate, [entry.prefix], is_closed=False)
        return await self._page(
            request,
            countries,
            number=number,
            country=entry.country,
            rates=[self._row(group, entry.country, language_of(request))],
        )

    def _lookup(self, text: str) -> tuple[str, DeckEntry | None, str]:
        """Return the number, its entry, and why there is none."""
        try:
            dialled = destination(text, self.closed_destinations.closed)
        except RequestRefusedError as refused:
            return text.strip(), None, refused.code
        entry = self.rates.lookup(dialled.number)
        return dialled.number, entry, "" if entry else "destination_not_priced"

    async def _page(
        self,
        request: Request,
        countries: Countries,
        *,
        country: str = "",
        rates: Sequence[RateRow] = (),
        number: str = "",
        refusal: str = "",
        errors: dict[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        language = language_of(request)
        page = RatesPage(
            credit=format_money(EXAMPLE_MICROS, self.currency),
            countries=[
                self._country(code, countries[code])
                for code in sorted(countries, key=lambda code: sort_key(code, language))
            ],
            country=country,
            rates=rates,
            number=number,
            refusal=refusal,
            errors=errors or {},
        )
        return self.door.show(request, page, status=status)

    def _country(self, code: str, groups: Sequence[RateGroup]) -> CountryRates:
        open_groups = [each for each in groups if not each.is_closed]
        # The cheapest comes first.
        price = open_groups[0].rate.per_minute_micros if open_groups else None
        return CountryRates(code, "" if price is None else format_money(price, self.currency))

    def _row(self, group: RateGroup, country: str, language: str) -> RateRow:
        rate = group.rate
        return RateRow(
            description=in_words(group.description, country, language),
            prefixes=" ".join(f"+{prefix}" for prefix in group.prefixes[:PREFIXES_SHOWN]),
            has_more_prefixes=len(group.prefixes) > PREFIXES_SHOWN,
            per_minute=format_money(rate.per_minute_micros, self.currency),
            connect_fee=self._some(rate.connect_fee_micros),
            minimum=self._some(rate.minimum_micros),
            first_s=rate.first_s,
            next_s=rate.next_s,
            free_s=rate.free_s,
            minutes=lasting_minutes(rate, EXAMPLE_MICROS),
            is_closed=group.is_closed,
        )

    def _some(self, micros: int) -> str:
        return format_money(micros, self.currency) if micros else ""
