"""Deletes data daily that are older than people are promised. One process of a deployment does it.

Works in small batches with a pause after each, so that booking and calls come in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from database.errors import StoreUnavailableError
from gateway.nanoseconds import SECOND_NS
from gateway.ports import Duties

DUTY: Final = "retention"
EVERY: Final = timedelta(days=1)
LOOK_EVERY_S: Final = 600.0
"""How often a process checks whether the duty is due."""
RENEWED_EVERY_NS: Final = 30 * SECOND_NS
PAUSE_S_MIN: Final = 0.01
"""Shortest pause after a batch; otherwise it is as long as the batch took."""

_log = structlog.get_logger(__name__)


class Sweeps(Protocol):
    """What can be deleted. Every method raises StoreUnavailableError."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are swept, in order."""

    async def due(self, kind: str) -> int:
        """Return how many rows of a kind are to be deleted."""

    async def sweep(self, kind: str) -> tuple[int, bool]:
        """Delete one batch; return how many rows, and whether more may be left."""


@dataclass(slots=True)
class Retention:
    """The duty of one process."""

    sweeps: Sweeps
    duties: Duties
    clock_ns: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    on_batch: Callable[[str, int], None] = field(default=lambda _kind, _count: None)
    """Called after each batch, with the kind and how many rows."""

    async def round(self) -> None:
        """Do the duty if it is due and no one else does it. Raises StoreUnavailableError."""
        if await self.duties.is_due(DUTY, EVERY):
            await self.run()

    async def run(self) -> dict[str, int] | None:
        """Do the duty now; return kind -> rows deleted, or None if another process does it.

        After a StoreUnavailableError the next run continues where this one stopped.
        """
        if not await self.duties.take(DUTY):
            return None
        renewed_ns, counts = self.clock_ns(), dict[str, int]()
        for kind in self.sweeps.kinds:
            counts[kind], is_more = 0, True
            while is_more:
                begun_ns = self.clock_ns()
                count, is_more = await self._sweep(kind)
                counts[kind] += count
                self.on_batch(kind, count)
                now_ns = self.clock_ns()
                if now_ns - renewed_ns >= RENEWED_EVERY_NS:
                    if not await self.duties.take(DUTY):
                        return None
                    renewed_ns = now_ns
                if count or is_more:
                    await self.sleep(max(PAUSE_S_MIN, (now_ns - begun_ns) / SECOND_NS))
        await self.duties.done(DUTY)
        if forgotten := {kind: count for kind, count in counts.items() if count}:
            _log.info("old data forgotten", forgotten=forgotten)
        return counts

    async def held_until(self) -> datetime | None:
        """Return when the duty becomes free if its holder has died; None: it is free now.

        Raises StoreUnavailableError.
        """
        return await self.duties.held_until(DUTY)

    async def _sweep(self, kind: str) -> tuple[int, bool]:
        """Delete one batch; a kind that fails does not hold up the others."""
        try:
            return await self.sweeps.sweep(kind)
        except StoreUnavailableError:
            raise
        except Exception:
            _log.exception("old data not forgotten", kind=kind)
            return 0, False
