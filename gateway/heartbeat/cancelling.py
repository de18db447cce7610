"""Cancels tasks reliably, even while they wait inside libraries."""

from __future__ import annotations

import asyncio
from typing import Any, Final

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
