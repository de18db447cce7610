"""The clock of the simulated payment service: the real one plus the time it has been moved."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

NS_PER_S: Final = 1_000_000_000
OFFSET_S_MAX: Final = 10 * 365 * 86400


class Clock:
    """Time source of the modules with side effects; pure modules take the time as an argument."""

    def __init__(self, real_ns: Callable[[], int] = time.time_ns) -> None:
        self.real_ns = real_ns
        """Real nanoseconds of the epoch, which signatures bear: a receiver's clock is not moved."""
        self._offset_ns = 0

    def now_ns(self) -> int:
        """Return the time of the simulated world, in nanoseconds of the epoch."""
        return self.real_ns() + self._offset_ns

    @property
    def offset_s(self) -> float:
        """How far the simulated world is ahead; negative when it is behind."""
        return self._offset_ns / NS_PER_S

    def shift(self, offset_s: float) -> None:
        """Put the simulated world ahead of the real one, or behind it.

        Raises:
            ValueError: the offset is out of bounds.
        """
        # Written so that NaN, which compares with nothing, is refused as well.
        if not abs(offset_s) <= OFFSET_S_MAX:
            raise ValueError("offset_s is out of bounds")
        self._offset_ns = round(offset_s * NS_PER_S)
