"""Serves `/welcome` for newcomers: what the service is, what a call costs, how to begin.

The phone page sends people here whom it does not know: only it can see the key of a tab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from billing.money import format_money
from gateway.calls.rate_table import Countries, RateTable
from gateway.http.access import DeclaredRoute
from gateway.http.site.door import PHONE, Door, language_of, see
from gateway.http.site.landing_pages import LandingPage
from gateway.http.site.rate_pages import CountryRates
from gateway.http.site.rendering import CONTENT_SECURITY_POLICY
from gateway.http.site.words import best_country

WELCOME: Final = "/welcome"
COUNTRIES_SHOWN: Final = 4

_BUTTON_HEADERS: Final = {
    # What any site needs for a button; the site is ours here (docs/buttons.md).
    "Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; script-src 'self'; frame-src 'self'",
    "Permissions-Policy": "microphone=(self), autoplay=(self), speaker-selection=(self),"
    " camera=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class LandingPages:
    """Handler of the page for newcomers."""

    door: Door
    table: RateTable
    currency: str
    """The deck's currency, ISO 4217."""
    home_countries: Sequence[str]
    """Countries that every person may call, as ISO 3166 codes; empty for all."""
    is_open: bool
    """Whether people can sign up themselves."""
    button: str = ""
    """Publishable key of a button to try; empty for none."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the page's route."""
        return [self.door.page(WELCOME, self.show)]

    async def show(self, request: Request) -> Response:
        """Show the page; a signed-in person is redirected to the phone."""
        if await self.door.who(request) is not None:
            return see(PHONE)
        rows = self._rows(request, await self.table.countries())
        page = LandingPage(self.is_open, rows, self.button)
        headers = _BUTTON_HEADERS if self.button else None
        return self.door.pages.render(page, language_of(request), headers=headers)

    def _rows(self, request: Request, countries: Countries) -> list[CountryRates]:
        own = best_country(request.headers.get("accept-language", ""))
        rows = []
        for code in dict.fromkeys((own, *self.home_countries)):
            # The cheapest comes first; a closed country is no good example.
            rates = [each.rate for each in countries.get(code, ()) if not each.is_closed]
            if rates:
                price = format_money(rates[0].per_minute_micros, self.currency)
                rows.append(CountryRates(code, price))
        return rows[:COUNTRIES_SHOWN]
