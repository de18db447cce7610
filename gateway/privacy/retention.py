"""Forgets once a day what is older than people are promised. One process of a deployment does it.

Small batches with a pause after each: whoever books money or places a call comes in between. Knows
no table and no period.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from database.errors import StoreUnavailableError
from gateway.nanoseconds import SECOND_NS

DUTY: Final = "retention"
EVERY: Final = timedelta(days=1)
LOOK_EVERY_S: Final = 600.0
"""How often a process looks whether the duty is due."""
RENEWED_EVERY_NS: Final = 30 * SECOND_NS
PAUSE_S_MIN: Final = 0.01
"""Shortest pause after a batch; else it is as long as the batch took."""

_log = structlog.get_logger(__name__)


class Sweeps(Protocol):
    """What can be forgotten. Every method raises StoreUnavailableError."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are swept, in their order."""

    async def due(self, kind: str) -> int:
        """Return how many rows of a kind are to be forgotten."""

    async def sweep(self, kind: str) -> tuple[int, bool]:
        """Forget one batch; return how many rows, and whether more may be left."""


class Duties(Protocol):
    """Who does a duty of the whole deployment. Every method raises StoreUnavailableError."""

    async def is_due(self, name: str, every: timedelta) -> bool:
        """Return whether a duty was last done so long ago."""

    async def take(self, name: str) -> bool:
        """Take or renew the lease of a duty; False while another process holds it."""

    async def held_until(self, name: str) -> datetime | None:
        """Return until when another process holds a duty, if it says nothing more; else None."""

    async def done(self, name: str) -> None:
        """Note that a duty was done, and give its lease back."""


@dataclass(slots=True)
class Retention:
    """The duty of one process."""

    sweeps: Sweeps
    duties: Duties
    clock_ns: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    on_batch: Callable[[str, int], None] = field(default=lambda _kind, _count: None)
    """Told of each batch: the kind, and how many rows."""

    async def round(self) -> None:
        """Do the duty if it is due and nobody else does it. Raises StoreUnavailableError."""
        if await self.duties.is_due(DUTY, EVERY):
            await self.run()

    async def run(self) -> dict[str, int] | None:
        """Do the duty now; return kind -> rows forgotten, or None if another process does it.

        Raises StoreUnavailableError: what is forgotten stays so, the next run goes on.
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
        """Return when the duty is free, if whoever holds it has died; None: it is free now.

        Raises StoreUnavailableError.
        """
        return await self.duties.held_until(DUTY)

    async def _sweep(self, kind: str) -> tuple[int, bool]:
        """Forget one batch; a kind that cannot be forgotten keeps no other from it."""
        try:
            return await self.sweeps.sweep(kind)
        except StoreUnavailableError:
            raise
        except Exception:
            _log.exception("old data not forgotten", kind=kind)
            return 0, False
