"""Stops the parts of a process one after another, the last opened first.

A part that hangs or fails does not keep the others from being stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

STOP_S_MAX = 20.0
"""How long one part may take to stop: longer than any of its own time-outs."""
STOPPING_S = 6 * STOP_S_MAX
"""What a node may take beside its drain: for parts that hang, and some for the rest."""


class Stops:
    """The stop functions of everything opened so far, in that order."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()

    def add(self, name: str, stop: Callable[[], Awaitable[object]]) -> None:
        """Stop this part before all that were added earlier."""
        self._stack.push_async_callback(_within, name, stop)

    async def run(self) -> None:
        """Stop everything; the second time there is nothing left to stop."""
        await self._stack.aclose()


async def _within(name: str, stop: Callable[[], Awaitable[object]]) -> None:
    """Stop one part; one that hangs is left behind."""
    # Not `wait_for`, which also waits for the cancelled part, and that may hang too.
    task = asyncio.ensure_future(stop())
    await asyncio.wait({task}, timeout=STOP_S_MAX)
    if not task.done():
        task.cancel()
        log.error("part not stopped", part=name, where=task.get_stack(limit=1))
    elif task.cancelled():
        # By the part itself: if this cancellation escaped, it would look like the process's own.
        log.error("part failed to stop", part=name, where="cancelled")
    elif error := task.exception():
        log.error("part failed to stop", part=name, exc_info=error)
