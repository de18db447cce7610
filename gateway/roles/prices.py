"""Loads what calls cost and which destinations are closed, for every process that quotes.

Knows no call and no account.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.clock import utc_now
from billing.rate_deck import RateDeck
from billing.stores.rate_decks import SqlRateDeckStore
from gateway.calls.closed_book import ClosedBook
from gateway.charging.rate_book import RateBook
from gateway.settings import Settings
from gateway.stores.high_risk import SqlHighRiskLists


@dataclass(frozen=True, slots=True)
class Prices:
    """Rates and closed destinations, as the database holds them."""

    rates: RateBook
    closed_book: ClosedBook


async def load_prices(settings: Settings, engine: AsyncEngine, fallback: RateDeck) -> Prices:
    """Return what is in force, with `fallback` where no deck was ever imported.

    Raises StoreUnavailableError.
    """
    rates = RateBook(SqlRateDeckStore(engine), fallback=fallback, clock=utc_now)
    # An unreadable deck prevents a start; later, `refresh` keeps the deck in use.
    await rates.load()
    closed_book = ClosedBook(SqlHighRiskLists(engine), settings.open_high_risk)
    await closed_book.load()
    return Prices(rates, closed_book)
