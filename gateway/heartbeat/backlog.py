"""Until when all that has come has been read: silence is judged up to there and not up to now.

A process that stood still (stopped, suspended with its machine, starved) wakes to timers that are
overdue and to sockets that are full. Whoever judged a peer by the clock then would end what is
alive. Pure: time is an argument.
"""

from __future__ import annotations

from typing import Final

STANDSTILL_NS: Final = 500_000_000
"""From one look to the next from which the process has stood still; it looks fifty times a second.
What a shorter one has left is read within a few passes of the loop."""
READING_NS: Final = 5_000_000_000
"""How long what has waited may take to be read: connections that are yet to be accepted and to
shake hands, seconds of audio of a thousand calls, a peer whose TCP tries a full window ever more
rarely, two of a browser's checks (each 2.5 s) where the kernel has dropped datagrams."""


class Backlog:
    """What one process has yet to read."""

    def __init__(self, now_ns: int) -> None:
        self._looked_ns = now_ns
        self._read_ns = now_ns
        """Until when all has been read while the rest is being read."""
        self._reading_until_ns = now_ns

    def read_until(self, now_ns: int) -> int:
        """Return until when all has been read; to be called many times a second.

        That is now, but the beginning of a standstill for a while after its end.
        """
        if now_ns - self._looked_ns > STANDSTILL_NS:
            self._read_ns = self._looked_ns
            self._reading_until_ns = now_ns + READING_NS
        self._looked_ns = now_ns
        return self._read_ns if now_ns < self._reading_until_ns else now_ns
