"""A duty of the node: work done over and over beside the calls.

No failure ends it. A service that is away is said once, and once more when it is back; what the
work is, is its owner's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from billing.errors import StoreUnavailableError
from gateway.errors import PaymentError

log = logging.getLogger(__name__)

CANCELLATIONS_MAX = 5
CANCELLATION_S = 1.0


class PeriodicTask:
    """Does its work at once and then again and again, with a pause after each time."""

    def __init__(self, name: str, work: Callable[[], Awaitable[object]], interval_s: float) -> None:
        self._name = name
        self._work = work
        self._interval_s = interval_s
        self._is_failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End, even in mid-work.

        A cancellation that comes just as a library gives up waiting can be lost in it; so it is
        repeated, and a task that outlives that is left behind with a word on where it stands.
        """
        task = self._task
        if task is None:
            return
        for _ in range(CANCELLATIONS_MAX):
            task.cancel()
            await asyncio.wait({task}, timeout=CANCELLATION_S)
            if task.done():
                return
        log.error("The %s did not end: %s.", self._name, task.get_stack(limit=1))

    async def _run(self) -> None:
        while True:
            await self._attempt()
            await asyncio.sleep(self._interval_s)

    async def _attempt(self) -> None:
        try:
            await self._work()
        except (StoreUnavailableError, PaymentError) as error:
            if not self._is_failing:
                log.warning("The %s waits: %s.", self._name, error)
            self._is_failing = True
        except Exception:
            # The edge of the duty: a bug in it must not end it for good.
            log.exception("The %s failed.", self._name)
        else:
            if self._is_failing:
                log.info("The %s goes on.", self._name)
            self._is_failing = False
