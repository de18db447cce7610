"""`GET /v1/rates`: what a call to a number costs, for the account that asks. Issues no token."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing.ports import SpendGate
from gateway import browser_media as wire
from gateway.admission import destination
from gateway.engine.rate_book import RateBook
from gateway.engine.reports import money
from gateway.errors import RequestRefusedError
from gateway.http.auth import Authenticator
from gateway.http.problems import Json
from gateway.http.velocity import address_of, refuse
from gateway.ports import Velocity
from gateway.settings import Settings
from gateway.velocity import quote_uses

SHOWN_S = (60, 180, 600)
"""Calls whose prices are shown."""


class PriceView(msgspec.Struct, kw_only=True):
    """What a call of this length costs."""

    seconds: int
    cost: wire.Money


class RateView(msgspec.Struct, kw_only=True):
    """The rate of a number, and how long the account's balance lasts on it."""

    destination: str
    country: str
    prefix: str
    description: str
    per_minute: wire.Money
    connect_fee: wire.Money
    minimum: wire.Money
    cap: wire.Money | None
    """Most that a call costs; null for no cap."""
    first_increment_s: int
    next_increment_s: int
    free_s: int
    prices: list[PriceView]
    balance: wire.Money
    affordable_seconds: int


@dataclass(frozen=True, slots=True)
class RatesApi:
    """Handler of the rates."""

    settings: Settings
    auth: Authenticator
    velocity: Velocity
    gate: SpendGate
    book: RateBook

    def routes(self) -> list[Route]:
        """Return the resource's route."""
        return [Route("/v1/rates", self.show_rate, methods=["GET"])]

    async def show_rate(self, request: Request) -> Response:
        """Return the rate of the number in `number`."""
        account = await self.auth.account(request)
        uses = quote_uses(account.id, account.key_id, address_of(request))
        refuse(await self.velocity.hit(uses))
        number = request.query_params.get("number", "")
        if not 0 < len(number) <= 64:
            raise RequestRefusedError("bad_request", field="number")
        # An unescaped plus sign of a query is a blank.
        written = "+" + number.strip() if number.startswith(" ") else number
        dialled = destination(written, self.settings.open_high_risk)
        entry = self.book.lookup(dialled.number)
        if entry is None:
            raise RequestRefusedError("destination_not_priced", field="number")
        rate, currency = entry.rate, account.currency
        balance = await self.gate.balance(account.id)
        return Json(
            RateView(
                destination=dialled.number,
                country=dialled.country,
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
                affordable_seconds=rate.affordable_seconds(
                    balance, self.settings.call_duration_max_s
                ),
            )
        )
