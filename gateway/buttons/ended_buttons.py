"""Ends the calls of buttons whose owners have ended them, on the node that holds them.

Each node looks once a second, and only while it holds visitors' calls. A look that fails loses
nothing: the next one finds the same, since an era does not change back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.buttons.ports import ButtonEras
from gateway.embed.terms import VisitorTerms

INTERVAL_S: Final = 1.0


class VisitorCalls(Protocol):
    """The calls of a node that visitors began."""

    def visitors(self) -> Sequence[VisitorTerms]:
        """Return the terms of each running call."""

    def end_visitors(self, is_over: Callable[[VisitorTerms], bool]) -> None:
        """End the calls for which `is_over` holds."""


class EndedButtons:
    """Ends visitors' calls on one node when their button's era is over."""

    def __init__(self, eras: ButtonEras, calls: VisitorCalls) -> None:
        self._eras = eras
        self._calls = calls

    async def look(self) -> None:
        """End the calls of eras that are over. Raises StoreUnavailableError."""
        running = {terms.button_id for terms in self._calls.visitors()}
        if not running:
            return
        eras = await self._eras.current(running)
        # A button without an era is unknown: the store may have lost it, which is no reason to end
        # calls.
        self._calls.end_visitors(lambda terms: eras.get(terms.button_id, terms.era) != terms.era)
