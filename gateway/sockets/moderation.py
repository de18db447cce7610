"""Lets a busy loop rest for a moment between two looks at its sockets, so that it reads in batches.

To be woken for each frame costs the kernel and the loop about as much as the frame itself. With
many sockets the next frame is due within microseconds anyhow, so the loop waits for some to come,
as network cards moderate their interrupts: six tenths of a millisecond, where a frame lasts twenty.
Knows neither frames nor whom the sockets belong to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sized
from typing import Final, Protocol

BUSY_SOCKETS: Final = 300
"""150 calls, 15,000 frames a second. With fewer the core has the time to be woken for each."""
PERIOD_S: Final = 0.0006
"""From one look at the sockets to the next; the kernel makes it some 80 us longer. At 200 calls it
saves a fifth of the CPU; 0.7 ms saves a few percent more, and every frame waits for it."""
REST_S_MIN: Final = 0.00005
"""The kernel's own slack: less is not worth a sleep."""


class PacedReader(Protocol):
    """Reads sockets when the loop finds something to read, or when it is told to."""

    def pace(self, paced: bool) -> None:
        """Read when told to from now on, or when the loop finds something."""

    def read(self) -> None:
        """Read what has come."""


class Moderation:
    """Rests between two passes of the running loop while there are many sockets.

    A pass that took long is followed by a shorter rest, or by none: what has waited is due. After
    each rest the reader reads; what it does not read, the loop does.
    """

    def __init__(
        self,
        sockets: Sized,
        reader: PacedReader,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sockets = sockets
        self._reader = reader
        self._sleep = sleep
        self._clock = clock
        self._is_resting = False
        self._looked_s = 0.0

    def judge(self) -> None:
        """Begin to rest if there are enough sockets by now; to be called now and then."""
        if not self._is_resting and len(self._sockets) >= BUSY_SOCKETS:
            self._is_resting = True
            self._looked_s = self._clock()
            self._reader.pace(True)
            asyncio.get_running_loop().call_soon(self._rest)

    def _rest(self) -> None:
        """Rest once and again after the next pass; cease when there are too few sockets."""
        if len(self._sockets) < BUSY_SOCKETS:
            self._is_resting = False
            self._reader.pace(False)
            return
        asyncio.get_running_loop().call_soon(self._rest)
        now_s = self._clock()
        left_s = self._looked_s + PERIOD_S - now_s
        if left_s >= REST_S_MIN:
            self._sleep(left_s)
            now_s = self._clock()
        self._looked_s = now_s
        self._reader.read()
