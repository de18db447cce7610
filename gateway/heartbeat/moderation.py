"""Reads a busy node's media in batches, as network cards moderate their interrupts.

To be woken for each frame costs the kernel and the loop about as much as the frame itself. Where
many come, the next is due within microseconds anyhow: the loop then watches one timer instead of
all the sockets, and reads them together each time it fires. Everything else wakes the loop as ever.
Knows no frame and no call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from gateway.nanoseconds import SECOND_NS

log = logging.getLogger(__name__)

PERIOD_NS: Final = 600_000
"""From one look to the next: every frame waits for half of it in the mean, where it lasts 20 ms."""
BUSY_PER_S: Final = 4_500
"""Reads a second from which it pays: 45 calls of 50 frames a second in each direction."""
CALM_PER_S: Final = 3_000
"""Reads a second below which it does not. One batch may read what would have been two."""
LOOKS_MAX: Final = 8
"""Looks in a row for what a pause of the loop has left; then others have their turn."""


class PacedReader(Protocol):
    """Reads sockets when the loop finds something to read, or when it is told to."""

    def pace(self, paced: bool) -> None:
        """Read when told to from now on, or when the loop finds something."""

    def read(self) -> bool:
        """Read what has come, up to a bound; return whether that was all."""

    def take_count(self) -> int:
        """Return how many times a socket was read since the last time."""


class Interval(Protocol):
    """Calls something again and again."""

    def start(self, period_ns: int, action: Callable[[], None]) -> None:
        """Call it each period from now on, on the running loop."""

    def stop(self) -> None:
        """Call it no more; repeating it is harmless."""


class Moderation:
    """Chooses how the readers of one loop read, by how much there is to read."""

    def __init__(self, interval: Interval) -> None:
        self._interval = interval
        self._readers: list[PacedReader] = []
        self._is_paced = False
        self._judged_ns = 0

    def add(self, *readers: PacedReader) -> None:
        """Choose for these readers as well; while batches are read they take part at once."""
        self._readers += readers
        for reader in readers:
            reader.pace(self._is_paced)

    def judge(self, now_ns: int) -> None:
        """Choose by what has been read since the last call; to be called some ten times a second.

        Args:
            now_ns: Monotonic.

        """
        elapsed_ns, self._judged_ns = now_ns - self._judged_ns, now_ns
        count = sum(reader.take_count() for reader in self._readers)
        bound = CALM_PER_S if self._is_paced else BUSY_PER_S
        is_busy = count * SECOND_NS >= bound * elapsed_ns
        if is_busy is not self._is_paced:
            self._pace(is_busy)

    def read(self) -> None:
        """Read all that has come where the loop does not, before somebody misses it."""
        if self._is_paced:
            for reader in self._readers:
                for _ in range(LOOKS_MAX):
                    if reader.read():
                        break

    def stop(self) -> None:
        """Leave the reading to the loop for good."""
        if self._is_paced:
            self._pace(False)
        self._readers.clear()

    def _pace(self, paced: bool) -> None:
        self._is_paced = paced
        for reader in self._readers:
            reader.pace(paced)
        if paced:
            self._interval.start(PERIOD_NS, self._look)
        else:
            self._interval.stop()

    def _look(self) -> None:
        for reader in self._readers:
            try:
                reader.read()
            except Exception:
                log.exception("A reader of media failed.")
