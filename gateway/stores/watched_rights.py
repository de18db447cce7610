"""Monitors our user's rights on Valkey: access lists may change while nodes run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import structlog

from database.errors import StoreRightError
from gateway.stores import rights

EVERY_S: Final = 60.0
RETRY_S: Final = 5.0
"""Interval of the checks while something is missing."""

log = structlog.get_logger(__name__)


class StoreRights:
    """What was missing at the last look. Raises StoreUnavailableError where it says so."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._looked_s: float | None = None
        self.lacking: Sequence[str] = ()

    async def look(self, *, every_s: float = EVERY_S) -> None:
        """Try all rights, unless they were tried recently. Raises StoreUnavailableError."""
        now_s = time.monotonic()
        due_s = min(every_s, RETRY_S) if self.lacking else every_s
        if self._looked_s is not None and now_s - self._looked_s < due_s:
            return
        found = await rights.missing(self._redis)
        self._looked_s = now_s
        self.lacking = [right for right in found if right not in rights.SPARED]

    async def require(self) -> None:
        """Raise StoreRightError if one is missing; StoreUnavailableError."""
        await self.look()
        if self.lacking:
            text = rights.what_to_write(self._redis, self.lacking)
            raise StoreRightError(text, self.lacking)

    async def watch(self, silence_s: float) -> None:
        """Check, and log missing rights once; earlier if nodes have been silent for `silence_s`.

        Raises StoreUnavailableError.
        """
        before = self.lacking
        await self.look(every_s=EVERY_S if silence_s < RETRY_S else RETRY_S)
        if self.lacking and self.lacking != before:
            log.warning("rights missing at the credit store", rights=" ".join(self.lacking))
        elif before and not self.lacking:
            log.info("rights at the credit store complete")
