"""Alarms of an outbox that grows or is not drained: the book of record is away, or nobody drains.

Calls go on meanwhile, and nothing is lost; but what they cost is in one place only. Knows no SQL.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from billing.ports import SpendGate

INTERVAL_S = 5.0
DRAINED_AGE_S_MAX = 15.0
"""How long ago the outbox may have been drained to its end: a drainer does it each second,
and needs a few seconds to start."""

log = logging.getLogger(__name__)


class OutboxAlarm:
    """Watches how many entries wait for the book of record."""

    def __init__(self, gate: SpendGate, entries_max: int) -> None:
        self._gate = gate
        self._entries_max = entries_max
        self.is_raised = False
        """Whether more than `entries_max` waited when last looked."""

    async def look(self) -> None:
        """Count what waits, and say it when the alarm begins or ends.

        Raises StoreUnavailableError.
        """
        length = await self._gate.outbox_length()
        was_raised, self.is_raised = self.is_raised, length > self._entries_max
        if self.is_raised and not was_raised:
            log.error("%d entries wait for the book of record. Is the drainer running?", length)
        elif was_raised and not self.is_raised:
            log.info("The outbox is short again: %d entries wait.", length)


class DrainMark(Protocol):
    """When the outbox was last drained to its end. Raises StoreUnavailableError."""

    async def age_s(self) -> float | None:
        """Return how long ago that was; None when it is not known."""


class DrainerAlarm:
    """Watches whether somebody drains the outbox, whatever waits in it."""

    def __init__(self, mark: DrainMark, clock_s: Callable[[], float]) -> None:
        """Watch from now on: until the mark is read, the outbox counts as drained just now."""
        self._mark = mark
        self._clock_s = clock_s
        self._drained_s = clock_s()
        self._was_raised = False

    @property
    def age_s(self) -> float:
        """Seconds since the outbox was drained to its end, as far as is known."""
        return self._clock_s() - self._drained_s

    @property
    def is_raised(self) -> bool:
        """Whether nobody has drained the outbox to its end for `DRAINED_AGE_S_MAX`."""
        return self.age_s > DRAINED_AGE_S_MAX

    async def look(self) -> None:
        """Read the mark, and say it when the alarm begins or ends.

        Raises StoreUnavailableError.
        """
        age_s = await self._mark.age_s()
        if age_s is not None:
            self._drained_s = max(self._drained_s, self._clock_s() - age_s)
        was_raised, self._was_raised = self._was_raised, self.is_raised
        if self.is_raised and not was_raised:
            log.error(
                "The outbox was last drained %d s ago. The drainer is stopped, stuck or cannot"
                " reach the database; it is started again when it does not answer.",
                self.age_s,
            )
        elif was_raised and not self.is_raised:
            log.info("The outbox is drained again.")
