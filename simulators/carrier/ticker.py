"""One 20 ms clock for all media legs: absolute deadlines, legs spread over four phases.

Knows of a leg only that it can step. A relative sleep per frame would add each delay to the
next; here a late beat is followed by an earlier one, and a leg catches up by itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from media.g711 import FRAME_MS
from simulators.carrier.clock import Clock

PHASES: Final = 4
_BEAT_S: Final = FRAME_MS / 1000 / PHASES
_LATE_S_MAX: Final = 1.0
"""After a longer stall (a stopped process) the beat starts afresh instead of catching up."""

_log = logging.getLogger(__name__)


class Stepper(Protocol):
    """Something that moves every 20 ms."""

    def step(self, now_ns: int) -> None:
        """Do all that is due at a monotonic time."""

    def fail(self) -> None:
        """End, because a step raised."""


class Ticker:
    """Calls every leg's step once per frame."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._phases: list[list[Stepper]] = [[] for _ in range(PHASES)]
        self._occupied = asyncio.Event()

    def add(self, leg: Stepper) -> None:
        """Step a leg from now on, in the emptiest phase."""
        # Spread over the 20 ms: legs that all stepped at one moment would delay each other.
        min(self._phases, key=len).append(leg)
        self._occupied.set()

    def remove(self, leg: Stepper) -> None:
        """Step a leg no more; a leg that is not there is ignored."""
        for phase in self._phases:
            if leg in phase:
                phase.remove(leg)

    async def run(self) -> None:
        """Beat until cancelled; at rest while there is no leg."""
        while True:
            await self._occupied.wait()
            await self._beat()
            # Nothing awaits between the end of the beat and here, so no leg was added unseen.
            self._occupied.clear()

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time()
        index = 0
        while any(self._phases):
            # An absolute deadline: the time that a step takes shortens the next wait instead of
            # adding up.
            deadline_s += _BEAT_S
            delay_s = deadline_s - loop.time()
            if delay_s < -_LATE_S_MAX:
                deadline_s = loop.time()
            await asyncio.sleep(max(delay_s, 0))
            index = (index + 1) % PHASES
            self._step(index)

    def _step(self, index: int) -> None:
        now_ns = self._clock.monotonic_ns()
        # A copy, for a step may end its leg and take it off the list.
        for leg in tuple(self._phases[index]):
            try:
                leg.step(now_ns)
            except Exception:  # one broken leg must not stop the others
                _log.exception("media leg failed")
                # First, so that it is not stepped again even if ending it raises.
                self.remove(leg)
                leg.fail()
