"""The alarm of an outbox that grows: the book of record is away, or nobody drains.

Calls go on meanwhile, and nothing is lost; but what they cost is in one place only. Knows no SQL.
"""

from __future__ import annotations

import logging

from billing.ports import SpendGate

INTERVAL_S = 10.0

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
