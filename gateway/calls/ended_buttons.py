"""Ends the calls of buttons whose owners have ended them, on the node that holds them.

Each node looks once a second, and only while it holds visitors' calls. What cannot be looked at now
is found at the next look, as an era stays. Knows no bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.embed.ports import ButtonEras
from gateway.embed.terms import VisitorTerms

INTERVAL_S: Final = 1.0


class VisitorCalls(Protocol):
    """The calls of a node that visitors have begun."""

    def visitors(self) -> Sequence[VisitorTerms]:
        """Return what holds for each that runs."""

    def end_visitors(self, is_over: Callable[[VisitorTerms], bool]) -> None:
        """End those for which this holds."""


class EndedButtons:
    """Looks after the visitors' calls of one node."""

    def __init__(self, eras: ButtonEras, calls: VisitorCalls) -> None:
        self._eras = eras
        self._calls = calls

    async def look(self) -> None:
        """End the calls of an era that is over. Raises StoreUnavailableError."""
        running = {terms.button_id for terms in self._calls.visitors()}
        if not running:
            return
        eras = await self._eras.current(running)
        # Of a button without one nothing is known: the store may have lost it, and no call ends
        # for that.
        self._calls.end_visitors(lambda terms: eras.get(terms.button_id, terms.era) != terms.era)
