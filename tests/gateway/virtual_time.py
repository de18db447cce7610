"""An event loop whose time passes only when all work is done: every sleep is over at once.

A test on it states exact times, and a minute of a call takes as long as the work in it.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from typing import Any

from gateway.nanoseconds import SECOND_NS

EPOCH_NS = 1_000_000_000_000
"""Where time begins: far from zero, so that a forgotten time shows."""


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer it moves the clock to it."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            # Nothing but the outside can bring work now, and a test here has no outside.
            events = super().select(1.0)
            if not events:
                raise RuntimeError("everything waits for something that will never happen")
            return events
        if timeout > 0:
            self.loop.now_ns += math.ceil(timeout * SECOND_NS)
        # The loop's own wake-up is all that most tests ever listen to, and says nothing new: what
        # another thread wants is among the loop's work already.
        return super().select(0) if len(self.get_map()) > 1 else []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own, in whole nanoseconds."""

    def __init__(self) -> None:
        self.now_ns = EPOCH_NS
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_ns / SECOND_NS

    def clock_ns(self) -> int:
        return self.now_ns

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads, whose time is not the loop's: its limit would be over at once."""
        await super().shutdown_default_executor()


def virtual_loop() -> VirtualTimeLoop:
    """Return the running loop, which must be one of these."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop
