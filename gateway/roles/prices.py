"""Loads what calls cost and which destinations are closed, for every process that quotes.

Knows no call and no account.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.clock import utc_now
from billing.rate_deck import RateDeck
from billing.stores.rate_decks import SqlRateDeckStore
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.charging.current_rates import CurrentRates
from gateway.settings import Settings
from gateway.stores.high_risk import SqlHighRiskLists


@dataclass(frozen=True, slots=True)
class Prices:
    """Rates and closed destinations, as the database holds them."""

    rates: CurrentRates
    closed_destinations: ClosedDestinations


async def load_prices(settings: Settings, engine: AsyncEngine, fallback: RateDeck) -> Prices:
    """Return what is in force, with `fallback` where no deck was ever imported.

    Raises StoreUnavailableError.
    """
    rates = CurrentRates(SqlRateDeckStore(engine), fallback=fallback, clock=utc_now)
    # An unreadable deck prevents a start; later, `refresh` keeps the deck in use.
    await rates.load()
    closed_destinations = ClosedDestinations(SqlHighRiskLists(engine), settings.open_high_risk)
    await closed_destinations.load()
    return Prices(rates, closed_destinations)
