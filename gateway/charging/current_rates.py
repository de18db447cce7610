"""Keeps the rate deck that a node quotes from up to date with the one in force for all nodes.

A call keeps the rate it was quoted, so a new deck changes no running call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from billing.errors import RateDeckError
from billing.rate_deck import DeckEntry, RateDeck
from gateway.heartbeat.cached import Refreshed

log = structlog.get_logger(__name__)


class RateDecks(Protocol):
    """Imported decks. Raises StoreUnavailableError."""

    async def version_in_force(self, at: datetime) -> int | None:
        """Return the version of the deck in force; None if there is none."""

    async def in_force(self, at: datetime) -> tuple[int, str] | None:
        """Return the same with its content, as CSV."""


class CurrentRates(Refreshed):
    """The deck in use; a new one replaces it as a whole."""

    NAME = "rate deck"

    def __init__(
        self, decks: RateDecks, *, fallback: RateDeck, clock: Callable[[], datetime]
    ) -> None:
        """Take the deck to use while none is imported, and the wall clock, in UTC."""
        super().__init__()
        self._decks = decks
        self._fallback = fallback
        self._clock = clock
        self._unreadable: int | None = None
        self.deck = fallback
        self.version: int | None = None
        """The version of the deck in use; None for the fallback."""

    def lookup(self, number: str) -> DeckEntry | None:
        """Return the entry of an E.164 number with its plus sign; None means it is denied."""
        return self.deck.lookup(number)

    def match(self, digits: str) -> DeckEntry | None:
        """Return the entry of numbers that begin with `digits` and match no longer prefix.

        None means they are denied.
        """
        return self.deck.match(digits)

    async def load(self) -> None:
        """Start using the deck in force, at a node's start.

        Raises RateDeckError if it cannot be read, and StoreUnavailableError.
        """
        at = self._clock()
        # The version alone first: this runs every 15 s, and a deck may have 200,000 prefixes.
        version = await self._decks.version_in_force(at)
        # A deck is never changed, so one that could not be read never can be.
        if version == self.version or (version is not None and version == self._unreadable):
            return
        found = await self._decks.in_force(at)
        if found is None:
            # The only imported deck was rolled back.
            self.version, self.deck = None, self._fallback
            return
        version, content = found
        try:
            # In a thread: parsing a large deck takes seconds, and frames must not wait for it.
            deck = await asyncio.to_thread(RateDeck.from_csv, content)
        except RateDeckError:
            self._unreadable = version
            raise
        self.version = version
        self.deck = deck
        log.info("rate deck in use", version=version, prefixes=len(deck))
