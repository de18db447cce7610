"""Stops the parts of a process one after another, the last that was opened first.

A part that hangs or fails does not keep the others from being stopped. Knows no part.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

STOP_S_MAX = 20.0
"""How long one part may take to stop: longer than any of its own time-outs."""


class Stops:
    """What is to be stopped, in the order in which it was opened."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()

    def add(self, name: str, stop: Callable[[], Awaitable[object]]) -> None:
        """Stop this part before all that were added earlier."""
        self._stack.push_async_callback(_within, name, stop)

    async def run(self) -> None:
        """Stop everything; a second time there is nothing left to stop."""
        await self._stack.aclose()


async def _within(name: str, stop: Callable[[], Awaitable[object]]) -> None:
    """Stop one part; one that hangs is left behind."""
    task = asyncio.ensure_future(stop())
    await asyncio.wait({task}, timeout=STOP_S_MAX)
    if not task.done():
        task.cancel()
        log.error("The %s did not stop: %s.", name, task.get_stack(limit=1))
    elif error := task.exception():
        log.error("The %s stopped with an error.", name, exc_info=error)
