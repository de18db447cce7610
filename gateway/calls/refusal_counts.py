"""Counts refused calls by account, hour and rule, and stores the counts.

A refusal costs one addition, however many there are: whole counts are written once a minute, so
that writing them again changes nothing. A process that is killed loses its last minute.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from billing.clock import Clock
from database.errors import StoreUnavailableError
from gateway.limits.fraud import COUNTED

INTERVAL_S: Final = 60.0
COUNTS_MAX: Final = 10_000
"""Counts kept at a time; refusals beyond them are not counted, only logged by their calls."""
_HOUR: Final = timedelta(hours=1)


class RefusalBook(Protocol):
    """Stores counts. Raises StoreUnavailableError."""

    async def save_refusals(
        self, run: str, counts: Mapping[tuple[str, datetime, str], int]
    ) -> None:
        """Store (account, hour, rule) -> the total count of a run."""


class RefusalCounts:
    """What one process has refused and not yet forgotten."""

    def __init__(self, book: RefusalBook, run: str, clock: Clock) -> None:
        """Take where counts are stored, and a name that is unique to this run."""
        self._book = book
        self._run = run
        self._clock = clock
        self._counts: Counter[tuple[str, datetime, str]] = Counter()
        self._unsaved: set[tuple[str, datetime, str]] = set()

    def note(self, account_id: str, code: str) -> None:
        """Count a refusal, if its rule is one whose refusals are counted."""
        rule = COUNTED.get(code)
        if rule is None:
            return
        hour = self._clock().replace(minute=0, second=0, microsecond=0)
        name = (account_id, hour, rule)
        if name not in self._counts and len(self._counts) >= COUNTS_MAX:
            return
        self._counts[name] += 1
        self._unsaved.add(name)

    async def save(self) -> None:
        """Write what has changed, and forget finished hours. Raises StoreUnavailableError."""
        if self._unsaved:
            taken = {name: self._counts[name] for name in self._unsaved}
            await self._book.save_refusals(self._run, taken)
            self._unsaved -= {name for name, count in taken.items() if self._counts[name] == count}
        # An hour is complete when the next one has begun.
        over = self._clock() - _HOUR
        for name in [name for name in self._counts if name[1] <= over]:
            if name not in self._unsaved:
                del self._counts[name]

    async def close(self) -> None:
        """Write what has changed, if possible."""
        with contextlib.suppress(StoreUnavailableError):
            await self.save()
