"""Holds what all lines share: settings, clocks, webhooks, debugger, ticker, tasks."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field

from simulators.carrier.clock import Clock
from simulators.carrier.debugger import Debugger
from simulators.carrier.settings import SimulatorSettings
from simulators.carrier.ticker import Ticker
from simulators.carrier.webhooks import Webhooks

_log = logging.getLogger(__name__)


class Tasks:
    """Keeps references to background tasks, and ends them with the service."""

    def __init__(self) -> None:
        # The loop holds its tasks weakly: one that nothing refers to can be collected while it
        # runs.
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run work in the background; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Cancel everything and wait for it."""
        # A cancelled call still announces its end: what it spawns is cancelled in the next round.
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Nobody awaits these tasks, so their failures would otherwise appear when they are
        # collected.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background task failed", exc_info=error)


@dataclass(frozen=True, slots=True)
class Equipment:
    """The shared parts of one simulated carrier."""

    settings: SimulatorSettings
    clock: Clock
    webhooks: Webhooks
    debugger: Debugger
    ticker: Ticker
    tasks: Tasks = field(default_factory=Tasks)


def new_sid(prefix: str) -> str:
    """Return a fresh Twilio identifier: two letters and 32 hex digits."""
    return prefix + secrets.token_hex(16)
