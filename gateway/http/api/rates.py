"""Serves `/v1/rates`: what calls cost the requesting account. Issues no token.

A number comes in a body, because proxies log addresses; a URL may hold a prefix only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from billing.ports import SpendGate
from billing.rate_deck import DeckEntry
from gateway.browser import messages as wire
from gateway.browser.reports import limited_by, money
from gateway.call.number import DIGITS_MIN, destination
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.charging.current_rates import CurrentRates
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.body import EXAMPLE_NUMBER, read_json
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.http.velocity import who
from gateway.limits.velocity import quote_uses, refuse
from gateway.ports import Account, Velocity
from gateway.scopes import Scope
from gateway.settings import Settings

SHOWN_S = (60, 180, 600)
"""Calls whose prices are shown."""

# Shorter than any number that can be dialled.
_PREFIX = re.compile(rf"[1-9][0-9]{{0,{DIGITS_MIN - 2}}}", re.ASCII)


class RateRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/rates`."""

    destination: Annotated[
        str, msgspec.Meta(min_length=1, max_length=64, examples=[EXAMPLE_NUMBER])
    ]


class RateAsked(msgspec.Struct, kw_only=True):
    """Which rate is requested."""

    prefix: Annotated[str, msgspec.Meta(pattern=f"^{_PREFIX.pattern}$", examples=["44"])]
    """The first digits of numbers, in E.164 without the plus sign; fewer than any number has."""


class PriceView(msgspec.Struct, kw_only=True):
    """What a call of this length costs."""

    seconds: int
    cost: wire.Money


class RateView(msgspec.Struct, kw_only=True):
    """A rate, and how long the account's balance lasts on it."""

    destination: str | None
    """Null if a prefix was given."""
    country: str
    prefix: str
    description: str
    per_minute: wire.Money
    connect_fee: wire.Money
    minimum: wire.Money
    cap: wire.Money | None
    """The most that a call costs; null for no cap."""
    first_increment_s: int
    next_increment_s: int
    free_s: int
    prices: list[PriceView]
    balance: wire.Money
    affordable_seconds: int
    limited_by: wire.Lack
    """Whether it ends when the balance is used up, or at the longest time allowed."""


@dataclass(frozen=True, slots=True)
class RatesApi:
    """Handlers of the rates."""

    settings: Settings
    auth: Authenticator
    velocity: Velocity
    gate: SpendGate
    rates: CurrentRates
    closed_destinations: ClosedDestinations

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's routes."""
        return self.auth.serve(self)

    @operation(
        "POST /v1/rates",
        Scope.CALLS,
        RateView,
        body=RateRequest,
        problems=(
            "number_invalid",
            "number_too_short",
            "number_emergency",
            "number_premium",
            "number_high_risk",
            "destination_not_priced",
        ),
        before_terms=True,
    )
    async def find_rate(self, request: Request, principal: Principal) -> Response:
        """Return the rate of the number in the body.

        Prices of calls of one, three and ten minutes, and how long the balance lasts.
        """
        # Counted before the number is validated, so that probing the lists is limited as well.
        refuse(await self.velocity.hit(quote_uses(*who(request, principal.account))))
        body = await read_json(request, RateRequest)
        dialled = destination(body.destination, self.closed_destinations.closed)
        return await self._priced(
            principal.account, self.rates.lookup(dialled.number), dialled.number
        )

    @operation(
        "GET /v1/rates",
        Scope.CALLS,
        RateView,
        query=RateAsked,
        judges_query=True,
        problems=("number_in_address", "number_high_risk", "destination_not_priced"),
    )
    async def show_rate(self, request: Request, principal: Principal) -> Response:
        """Return the rate of numbers that begin with `prefix` and match no longer prefix."""
        refuse(await self.velocity.hit(quote_uses(*who(request, principal.account))))
        given = request.query_params.multi_items()
        for name, value in given:
            # In any parameter, and with a code of its own, so that the client learns to use the
            # body. `isdigit` covers the digits of all scripts.
            if name == "number" or sum(map(str.isdigit, value)) >= DIGITS_MIN:
                raise RequestRefusedError("number_in_address", field=name[:32])
        prefix = dict(given).get("prefix", "")
        if len(given) != 1 or not _PREFIX.fullmatch(prefix):
            raise RequestRefusedError("bad_request", field="prefix")
        # Prices of closed destinations are not shown.
        if self.closed_destinations.closed.closes(prefix):
            raise RequestRefusedError("number_high_risk", field="prefix")
        # Not `lookup`, which takes whole numbers.
        return await self._priced(principal.account, self.rates.match(prefix), None)

    async def _priced(
        self, account: Account, entry: DeckEntry | None, number: str | None
    ) -> Response:
        if entry is None:
            field = "prefix" if number is None else "destination"
            raise RequestRefusedError("destination_not_priced", field=field)
        rate, currency = entry.rate, account.currency
        balance = await self.gate.balance(account.id)
        longest_s = self.settings.call_duration_max_s
        # From the balance alone; a quote takes the spend caps of account and key into account.
        seconds = rate.affordable_seconds(balance, longest_s)
        return Json(
            RateView(
                destination=number,
                country=entry.country,
                prefix=entry.prefix,
                description=entry.description,
                per_minute=money(rate.per_minute_micros, currency),
                connect_fee=money(rate.connect_fee_micros, currency),
                minimum=money(rate.minimum_micros, currency),
                cap=money(rate.cap_micros, currency) if rate.cap_micros else None,
                first_increment_s=rate.first_s,
                next_increment_s=rate.next_s,
                free_s=rate.free_s,
                prices=[
                    PriceView(seconds=seconds, cost=money(rate.cost(seconds), currency))
                    for seconds in SHOWN_S
                ],
                balance=money(balance, currency),
                affordable_seconds=seconds,
                limited_by=limited_by(seconds, longest_s),
            )
        )
