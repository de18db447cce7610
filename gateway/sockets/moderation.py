"""Lets a busy loop rest for a moment between two looks at its sockets, so that it reads in batches.

To be woken for each frame costs the kernel and the loop about as much as the frame itself. With
many sockets the next frame is due within microseconds anyhow, so the loop waits for some to come,
as network cards moderate their interrupts: a third of a millisecond, where a frame lasts twenty.
Knows neither frames nor whom the sockets belong to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sized
from typing import Final

BUSY_SOCKETS: Final = 300
"""150 calls, 15,000 frames a second. With fewer the core has the time to be woken for each."""
REST_S: Final = 0.0003
"""The kernel makes it a good third of a millisecond. At 200 calls it saves a fifth of the CPU; a
shorter one saves less, and a longer one little more (`make bench`)."""


class Moderation:
    """Rests between two passes of the running loop while there are many sockets."""

    def __init__(self, sockets: Sized, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sockets = sockets
        self._sleep = sleep
        self._is_resting = False

    def judge(self) -> None:
        """Begin to rest if there are enough sockets by now; to be called now and then."""
        if not self._is_resting:
            self._is_resting = True
            self._rest()

    def _rest(self) -> None:
        """Rest once and again after the next pass; cease when there are too few sockets."""
        if len(self._sockets) < BUSY_SOCKETS:
            self._is_resting = False
            return
        self._sleep(REST_S)
        asyncio.get_running_loop().call_soon(self._rest)
