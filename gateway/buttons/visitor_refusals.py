"""Counts refused visitors by button, day and reason, and stores the counts.

A refusal costs one addition, however many there are: new counts are added to the stored ones every
few seconds. A process that is killed loses those. Nothing about any visitor is recorded.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Final, Protocol

from billing.clock import Clock
from database.errors import StoreUnavailableError
from gateway.buttons.visitor import day_of
from gateway.embed.refusals import Reason, reason_of

INTERVAL_S: Final = 5.0
COUNTS_MAX: Final = 10_000
"""Counts kept at a time; refusals beyond them are not counted."""


class RefusalStore(Protocol):
    """Stores counts. Raises StoreUnavailableError."""

    async def add(self, counts: Mapping[tuple[str, str, Reason], int]) -> None:
        """Add to (button, day, reason) -> how often."""


class VisitorRefusals:
    """What one process has refused since it last saved."""

    def __init__(self, store: RefusalStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counts: Counter[tuple[str, str, Reason]] = Counter()

    def note(self, button_id: str, code: str) -> None:
        """Count a visitor's refusal on a button, by the code that its owner would see."""
        name = (button_id, day_of(self._clock()), reason_of(code))
        if name in self._counts or len(self._counts) < COUNTS_MAX:
            self._counts[name] += 1

    async def save(self) -> None:
        """Add to the stored counts. Raises StoreUnavailableError.

        A failed write may have succeeded, and is not repeated: of the two errors, a count that is
        too small misleads no one about the most common refusals.
        """
        counts, self._counts = self._counts, Counter()
        if counts:
            await self._store.add(counts)

    async def close(self) -> None:
        """Save what has come since, if possible."""
        with contextlib.suppress(StoreUnavailableError):
            await self.save()
