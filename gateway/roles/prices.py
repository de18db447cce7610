"""Loads call prices and closed destinations, for every process that quotes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.clock import utc_now
from billing.rate_deck import RateDeck
from billing.stores.rate_decks import SqlRateDeckStore
from gateway import regular_files
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.charging.current_rates import CurrentRates
from gateway.errors import SettingsError
from gateway.settings import Settings
from gateway.stores.high_risk import SqlHighRiskLists


def load_deck(settings: Settings) -> RateDeck:
    """Return the rate deck. Raises SettingsError, RateDeckError."""
    if not settings.rate_deck:
        return RateDeck.example()
    try:
        text = regular_files.read(Path(settings.rate_deck)).decode()
    except regular_files.NotRegularError:
        text = "CALLER_RATE_DECK does not name a regular file, so it cannot be read."
        raise SettingsError(text) from None
    except (OSError, UnicodeDecodeError) as error:
        # Errors inside the deck are RateDeckError, with line and column.
        raise SettingsError("CALLER_RATE_DECK names a file that cannot be read.") from error
    return RateDeck.from_csv(text)


@dataclass(frozen=True, slots=True)
class Prices:
    """Rates and closed destinations, as the database has them."""

    rates: CurrentRates
    closed_destinations: ClosedDestinations


async def load_prices(settings: Settings, engine: AsyncEngine, fallback: RateDeck) -> Prices:
    """Return what is in force, with `fallback` if no deck was ever imported.

    Raises StoreUnavailableError.
    """
    rates = CurrentRates(SqlRateDeckStore(engine), fallback=fallback, clock=utc_now)
    # An unreadable deck prevents a start; later, `refresh` keeps the deck in use.
    await rates.load()
    closed_destinations = ClosedDestinations(SqlHighRiskLists(engine), settings.open_high_risk)
    await closed_destinations.load()
    return Prices(rates, closed_destinations)
