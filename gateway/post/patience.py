"""Does small pieces of work in the background, with a few retries while a store is unavailable.

Nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from database.errors import StoreUnavailableError

DELAYS_S: Final = (1.0, 5.0, 30.0, 120.0)
"""Pauses between the attempts at one piece of work; after the last it is dropped."""
WAITING_MAX: Final = 200
"""Pieces that wait at once; further ones are dropped."""
STOP_S_MAX: Final = 2.0
"""How long a stop waits for the store."""


class Patience:
    """The pieces of one kind that one process has yet to do."""

    def __init__(self, delays_s: tuple[float, ...] = DELAYS_S) -> None:
        self._delays_s = delays_s
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(
        self, work: Callable[[], Awaitable[None]], on_failure: Callable[[Exception], None]
    ) -> bool:
        """Do the work soon; return False if too much is waiting, and it is dropped."""
        # Bounds the tasks that pile up while the store is unavailable.
        if len(self._tasks) >= WAITING_MAX:
            return False
        task = asyncio.get_running_loop().create_task(self._do(work, on_failure))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def leave(self, patience_s: float) -> bool:
        """Wait at most this long until all is done; return whether it is."""
        if not self._tasks:
            return True
        _, left = await asyncio.wait(self._tasks, timeout=patience_s)
        return not left

    async def stop(self) -> None:
        """Stop; drop what the store does not accept now."""
        await self.leave(STOP_S_MAX)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _do(
        self, work: Callable[[], Awaitable[None]], on_failure: Callable[[Exception], None]
    ) -> None:
        for delay_s in (*self._delays_s, None):
            try:
                await work()
            # Any error, even a bug: no one awaits this task.
            except Exception as error:
                if delay_s is None or not isinstance(error, StoreUnavailableError):
                    on_failure(error)
                    return
            else:
                return
            await asyncio.sleep(delay_s)
