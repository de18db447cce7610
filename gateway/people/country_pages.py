"""Serves `/account/countries`: where an account may call, and the form that opens more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.call import number
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import Faults, SessionOver
from gateway.http.sessions import SignedIn
from gateway.http.site.countries import country_name, sort_key
from gateway.http.site.door import CONFIRM, COUNTRIES, Door, language_of, said_in, see
from gateway.http.site.forms import read_form
from gateway.http.site.pages import Errors
from gateway.http.site.words import best_language
from gateway.people.countries import Countries, CountryOpened
from gateway.people.forms import CountryFields


@dataclass(frozen=True, slots=True)
class CountryRow:
    """A country as a person reads it."""

    code: str
    """ISO 3166 alpha-2."""
    name: str


@dataclass(frozen=True, slots=True)
class CountriesPage:
    """Where an account may call; `proposed` is the preselected code, empty for none."""

    template: ClassVar[str] = "countries.html"
    home: Sequence[CountryRow]
    """Open to everyone; empty: all are."""
    opened: Sequence[CountryRow]
    closed: Sequence[CountryRow]
    """Countries that the person can open."""
    proposed: str
    day_max: int
    said: str = ""
    errors: Errors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CountryPages:
    """Handlers of the signed-in person's countries."""

    door: Door
    countries: Countries

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(COUNTRIES, self.show, step_up=True),
            own(COUNTRIES, self.open_country, method="POST", step_up=True),
            own(f"{COUNTRIES}/close", self.close_country, method="POST", page=COUNTRIES),
        ]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show which countries are open, and a form that opens another."""
        return await self._page(request, who, said=said_in(request))

    async def open_country(self, request: Request, who: SignedIn) -> Response:
        """Open a country."""
        fields = await read_form(request, CountryFields)
        code = fields.country if fields.country in number.countries() else ""
        # In the language of the mail, not of this browser.
        name = country_name(code, best_language(who.holder.language))
        before = await self.countries.opened(who)
        outcome = await self.countries.open_country(who, code, name)
        match outcome:
            case Faults(by_field):
                return await self._page(request, who, errors=by_field)
            case CountryOpened():
                # No message if it was open already: no mail was sent either.
                is_new = self.countries.is_closed(code, before)
                return see(COUNTRIES, said="country_opened" if is_new else "")
            case SessionOver():
                return await self.door.sign_in_first(request, COUNTRIES)
        return see(CONFIRM, next=COUNTRIES)

    async def close_country(self, request: Request, who: SignedIn) -> Response:
        """Close a country."""
        fields = await read_form(request, CountryFields)
        code = fields.country[:2]
        was_opened = code in await self.countries.opened(who)
        outcome = await self.countries.close_country(who, code)
        if isinstance(outcome, SessionOver):
            return await self.door.sign_in_first(request, COUNTRIES)
        return see(COUNTRIES, said="country_closed" if was_opened else "")

    async def _page(
        self, request: Request, who: SignedIn, *, said: str = "", errors: Errors | None = None
    ) -> Response:
        language = language_of(request)
        home = self.countries.home
        opened = await self.countries.opened(who)
        others = number.countries() - home - opened
        page = CountriesPage(
            home=_rows(language, home),
            opened=_rows(language, opened - home),
            closed=_rows(language, others) if home else [],
            # Someone who has opened none yet most likely wants the one they are in.
            proposed=self.door.visitor(request).country if not opened else "",
            day_max=self.countries.day_max,
            said=said,
            errors=errors or {},
        )
        return self.door.show(request, page, status=422 if errors else 200)


def _rows(language: str, codes: Iterable[str]) -> list[CountryRow]:
    by_name = sorted(codes, key=lambda code: (sort_key(code, language), code))
    return [CountryRow(code, country_name(code, language)) for code in by_name]
