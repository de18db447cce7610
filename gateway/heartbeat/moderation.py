"""Reads a busy node's media in batches, as network cards moderate their interrupts.

Being woken for each frame costs the kernel and the loop about as much as the frame itself. When
many arrive, the next one is due within microseconds anyway: the loop then watches one timer instead
of all the sockets, and reads them together each time it fires. Everything else wakes the loop as
usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from gateway.nanoseconds import SECOND_NS

log = structlog.get_logger(__name__)

PERIOD_NS: Final = 600_000
"""Interval between two batches: a frame, which lasts 20 ms, waits half of this on average."""
BUSY_PER_S: Final = 4_500
"""Reads per second from which batching pays: 45 calls of 50 frames a second in each direction."""
CALM_PER_S: Final = 3_000
"""Reads per second below which it does not. One batch may read what would have been two."""
LOOKS_MAX: Final = 8
"""Consecutive reads of what has built up during a pause of the loop; then others get their turn."""


class PacedReader(Protocol):
    """Reads sockets when the loop finds data, or when `read` is called."""

    def pace(self, paced: bool) -> None:
        """Read only when `read` is called (True), or whenever the loop finds data (False)."""

    def read(self) -> bool:
        """Read what has arrived, up to a bound; return whether that was all."""

    def take_count(self) -> int:
        """Return how many times a socket was read since the last call."""


class Interval(Protocol):
    """Calls a function repeatedly."""

    def start(self, period_ns: int, action: Callable[[], None]) -> None:
        """Call the function once a period from now on, on the running loop."""

    def stop(self) -> None:
        """Stop calling; repeating this is harmless."""


class Moderation:
    """Chooses how the readers of one loop read, by how much there is to read."""

    def __init__(self, interval: Interval) -> None:
        self._interval = interval
        self._readers: list[PacedReader] = []
        self._is_paced = False
        self._judged_ns = 0

    def add(self, *readers: PacedReader) -> None:
        """Manage these readers as well; while batching is on they join at once."""
        self._readers += readers
        for reader in readers:
            reader.pace(self._is_paced)

    def judge(self, now_ns: int) -> None:
        """Choose by what has been read since the last call; call some ten times a second.

        Args:
            now_ns: Monotonic.

        """
        elapsed_ns = now_ns - self._judged_ns
        self._judged_ns = now_ns
        count = sum(reader.take_count() for reader in self._readers)
        # Two bounds: with one, a load close to it would switch back and forth.
        bound = CALM_PER_S if self._is_paced else BUSY_PER_S
        is_busy = count * SECOND_NS >= bound * elapsed_ns
        if is_busy is not self._is_paced:
            self._pace(is_busy)

    def read(self) -> None:
        """Read everything that the loop does not read itself, before it is judged late."""
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
        if not paced:
            self._interval.stop()
        # Before the loop stops reading: without a descriptor for the timer no one would read.
        elif not self._has_started():
            return
        self._is_paced = paced
        for reader in self._readers:
            reader.pace(paced)

    def _has_started(self) -> bool:
        try:
            self._interval.start(PERIOD_NS, self._look)
        except OSError:
            # The loop keeps reading by itself, and the next judgement tries again.
            return False
        return True

    def _look(self) -> None:
        for reader in self._readers:
            try:
                reader.read()
            except Exception:
                # The other readers carry the media of other calls.
                log.exception("media reader failed")
