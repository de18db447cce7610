"""Counts by button, day and reason which visitors were refused, and has the counts kept.

A refusal costs an addition, however many come: what has come is added to what is kept every few
seconds. A process that is killed loses those. Knows no store, and nothing of any visitor.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Final, Protocol

from billing.clock import Clock
from database.errors import StoreUnavailableError
from gateway.embed.refusals import Reason, reason_of
from gateway.embed.visitor import day_of

INTERVAL_S: Final = 5.0
COUNTS_MAX: Final = 10_000
"""Counts kept at a time; what no count is left for is not counted."""


class RefusalStore(Protocol):
    """Keeps counts. Raises StoreUnavailableError."""

    async def add(self, counts: Mapping[tuple[str, str, Reason], int]) -> None:
        """Add to (button, day, reason) -> how often."""


class VisitorRefusals:
    """What one process has refused since it last told the store."""

    def __init__(self, store: RefusalStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counts: Counter[tuple[str, str, Reason]] = Counter()

    def note(self, button_id: str, code: str) -> None:
        """Count a refusal of a visitor of a button, by the code that its owner would be told."""
        name = (button_id, day_of(self._clock()), reason_of(code))
        if name in self._counts or len(self._counts) < COUNTS_MAX:
            self._counts[name] += 1

    async def save(self) -> None:
        """Add to what is kept. Raises StoreUnavailableError.

        What could not be added may have been, and is not added again: of the two errors a count
        that is too small misleads nobody about what is refused most.
        """
        counts, self._counts = self._counts, Counter()
        if counts:
            await self._store.add(counts)

    async def close(self) -> None:
        """Add what has come since, if it can be added."""
        with contextlib.suppress(StoreUnavailableError):
            await self.save()
