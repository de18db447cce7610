"""Raises alarms if the outbox grows or is not drained: the book is away, or the drainer is.

Calls continue meanwhile and nothing is lost, but their costs are recorded in one place only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from billing.ports import SpendGate

INTERVAL_S = 5.0
DRAINED_AGE_S_MAX = 15.0
"""How long ago the outbox may have been drained completely: a drainer does it each second, and
needs a few seconds to restart."""
STARTING_S_MAX = 60.0
"""How long a drainer that starts with its node may take: an interpreter on a busy machine, and
perhaps a schema upgrade."""

_LONG_HINT = (
    "More calls end than are booked: the log of `caller serve` (or of `caller drain`) says whether"
    " the drainer runs and what it waits for. Calls go on, and nothing is lost."
)
_OVERDUE_HINT = (
    "The drainer is stopped, stuck or cannot reach the database. One that `caller serve` started"
    " is replaced by itself; else start `caller drain`. Its lines `outbox not drained` say which"
    " store is away, and `caller check` tries both. Calls go on, and nothing is lost."
)

log = structlog.get_logger(__name__)


class OutboxAlarm:
    """Watches how many entries wait for the book of record."""

    def __init__(self, gate: SpendGate, entries_max: int) -> None:
        self._gate = gate
        self._entries_max = entries_max
        self.is_raised = False
        """Whether more than `entries_max` were waiting at the last look."""

    async def look(self) -> None:
        """Count the waiting entries; log when the alarm begins and when it ends.

        Raises StoreUnavailableError.
        """
        length = await self._gate.outbox_length()
        was_raised, self.is_raised = self.is_raised, length > self._entries_max
        if self.is_raised and not was_raised:
            log.error("outbox too long", entries=length, hint=_LONG_HINT)
        elif was_raised and not self.is_raised:
            log.info("outbox short again", entries=length)


class DrainMark(Protocol):
    """Records when the outbox was last drained completely. Raises StoreUnavailableError."""

    async def age_s(self) -> float | None:
        """Return how many seconds ago that was; None if unknown."""


class DrainerAlarm:
    """Watches whether any process drains the outbox, whatever is in it."""

    def __init__(self, mark: DrainMark, clock_s: Callable[[], float]) -> None:
        """Watch from now on; `clock_s` is monotonic."""
        self._mark = mark
        self._clock_s = clock_s
        # As if drained just now: a node that starts gives its drainer the time to start as well.
        self._drained_s = self._begun_s = clock_s()
        self._was_raised = False

    @property
    def age_s(self) -> float:
        """Seconds since the outbox was drained completely, as far as is known."""
        return self._clock_s() - self._drained_s

    @property
    def is_raised(self) -> bool:
        """Whether the outbox has not been drained completely for `DRAINED_AGE_S_MAX`.

        Or for `STARTING_S_MAX`, if it has not been since this process began.
        """
        # By time alone: while the mark cannot be read, it only grows older.
        is_starting = self._drained_s <= self._begun_s
        return self.age_s > (STARTING_S_MAX if is_starting else DRAINED_AGE_S_MAX)

    async def look(self) -> None:
        """Read the mark; log when the alarm begins and when it ends.

        Raises StoreUnavailableError.
        """
        age_s = await self._mark.age_s()
        if age_s is not None:
            # Never back: a store that was rolled back has an older mark than the one read before.
            self._drained_s = max(self._drained_s, self._clock_s() - age_s)
        was_raised, self._was_raised = self._was_raised, self.is_raised
        if self.is_raised and not was_raised:
            log.error("drainer overdue", age_s=int(self.age_s), hint=_OVERDUE_HINT)
        elif was_raised and not self.is_raised:
            log.info("drainer back")
