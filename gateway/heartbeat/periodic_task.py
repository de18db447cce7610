"""Runs the periodic tasks of a node, which are work repeated beside the calls, and cancels tasks.

No failure ends a task. An outage is logged once when it begins and once when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from database.errors import StoreUnavailableError
from gateway.errors import PaymentError

CANCELLATIONS_MAX: Final = 5
CANCELLATION_S: Final = 1.0
"""How long a task that is being ended may take to react to one cancellation."""


async def cancelled(task: asyncio.Task[Any]) -> bool:
    """Cancel a task and wait for its end; False if it is still running.

    A cancellation that arrives just as a library gives up waiting, or connects, can get lost in it,
    so it is repeated.
    """
    for _ in range(CANCELLATIONS_MAX):
        task.cancel()
        await asyncio.wait({task}, timeout=CANCELLATION_S)
        if task.done():
            return True
    return False


log = structlog.get_logger(__name__)


class PeriodicTask:
    """Does its work at once and then repeatedly, with a pause after each time."""

    def __init__(self, name: str, work: Callable[[], Awaitable[object]], interval_s: float) -> None:
        self._name = name
        self._work = work
        self._interval_s = interval_s
        self._is_failing = False
        self._is_due = asyncio.Event()
        """Set when the pause is over, or to cut it short."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    def run_now(self) -> None:
        """Run the work now, or once more if it is already running."""
        self._is_due.set()

    async def stop(self) -> None:
        """Stop, even in the middle of the work.

        A task that survives its cancellation is abandoned; the line it waits in is logged.
        """
        task = self._task
        if task is None or await cancelled(task):
            return
        # Function and line only: a frame printed whole would show its variables.
        where = [f"{frame.f_code.co_name}:{frame.f_lineno}" for frame in task.get_stack(limit=1)]
        log.error("periodic task not stopped", task=self._name, where=where)

    async def _run(self) -> None:
        while True:
            self._is_due.clear()
            await self._attempt()
            # A timer that sets it costs a third of a time-out, which ends with an exception.
            pause = asyncio.get_running_loop().call_later(self._interval_s, self._is_due.set)
            try:
                await self._is_due.wait()
            finally:
                pause.cancel()

    async def _attempt(self) -> None:
        try:
            await self._work()
        except (StoreUnavailableError, PaymentError) as error:
            # Outages are expected, and may last for hours of attempts a second apart.
            if not self._is_failing:
                log.warning("periodic task waiting", task=self._name, reason=str(error))
            self._is_failing = True
        except Exception:
            # The edge of the task: a bug in the work must not end it for good.
            log.exception("periodic task failed", task=self._name)
        else:
            if self._is_failing:
                log.info("periodic task resumed", task=self._name)
            self._is_failing = False
