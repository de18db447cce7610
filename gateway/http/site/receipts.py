"""Shows how the price of a call follows from its rate and its charged seconds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from billing.errors import RateDeckError
from billing.money import format_exact
from billing.rating import Rate


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the calculation; the words for it are under `receipt.`."""

    name: str
    values: dict[str, str]
    amount: str = ""
    """As money, exact; empty for a line that only states a rule."""


def per_minute_of(rate_text: str, currency: str) -> tuple[str, str]:
    """Return the price of a minute and the connect fee; empty if they cannot be parsed."""
    rate = _read(rate_text)
    if rate is None:
        return "", ""
    fee = format_exact(rate.connect_fee_micros, currency) if rate.connect_fee_micros else ""
    return format_exact(rate.per_minute_micros, currency), fee


def steps_of(rate_text: str, seconds: int, currency: str) -> Sequence[Step]:
    """Return the calculation of what these seconds cost; empty if they cost nothing."""
    rate = _read(rate_text)
    if rate is None or seconds <= 0 or not currency:
        return ()
    billed = rate.billed_seconds(seconds)
    timed = -(-billed * rate.per_minute_micros // 60)
    plain = rate.connect_fee_micros + timed
    price = rate.cost(seconds)

    def money(micros: int) -> str:
        return format_exact(micros, currency)

    per_minute = {"seconds": str(billed), "price": money(rate.per_minute_micros)}
    return [
        Step("used", {"seconds": str(seconds)}),
        *([Step("free", {"seconds": str(rate.free_s)})] if rate.free_s else ()),
        _rounding(rate),
        Step("timed", per_minute, money(timed)),
        *([Step("connect_fee", {}, money(rate.connect_fee_micros))] if plain > timed else ()),
        *([Step("minimum", {}, money(price))] if price > plain else ()),
        *([Step("cap", {}, money(price))] if price < plain else ()),
        Step("price", {}, money(price)),
    ]


def _rounding(rate: Rate) -> Step:
    if rate.first_s == rate.next_s == 1:
        return Step("by_second", {})
    return Step("by_increment", {"first": str(rate.first_s), "next": str(rate.next_s)})


def _read(text: str) -> Rate | None:
    try:
        return Rate.from_json(text)
    except RateDeckError:
        return None
