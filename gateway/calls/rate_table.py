"""Caches each country's rates for pages; rebuilt when the deck or the closed list changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from billing.rate_deck import RateDeck, RateGroup, by_country
from gateway.call.high_risk import ClosedList
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.charging.current_rates import CurrentRates

Countries = Mapping[str, Sequence[RateGroup]]


class RateTable:
    """What calls to each country cost."""

    def __init__(self, rates: CurrentRates, closed_destinations: ClosedDestinations) -> None:
        self._rates = rates
        self._closed_destinations = closed_destinations
        self._made: tuple[RateDeck, ClosedList, Countries] | None = None
        self._making = asyncio.Lock()

    async def countries(self) -> Countries:
        """Return country -> its groups."""
        async with self._making:
            deck, closed = self._rates.deck, self._closed_destinations.closed
            made = self._made
            if made is None or made[0] is not deck or made[1] is not closed:
                # In a thread: a deck may have 200,000 prefixes, and frames must not wait for it.
                countries = await asyncio.to_thread(by_country, deck, closed.closes)
                self._made = made = (deck, closed, countries)
            return made[2]
