"""Tracks until when all that has arrived has been read; silence is judged up to then, not to now.

A process that stood still (stopped, suspended with its machine, starved) wakes to overdue timers
and full sockets. Judging a peer by the clock at that moment would end calls that are alive. Pure:
takes the time as an argument.
"""

from __future__ import annotations

from typing import Final

STANDSTILL_NS: Final = 500_000_000
"""Gap between two looks, of which there are fifty a second, from which the process counts as having
stood still. A shorter pause leaves only what is read within a few passes of the loop."""
READING_NS: Final = 5_000_000_000
"""How long reading what has waited may take: connections still to be accepted and to shake hands,
seconds of audio of a thousand calls, a peer whose TCP probes a full window ever more rarely, two of
a browser's checks (each 2.5 s) if the kernel has dropped datagrams."""


class Backlog:
    """What one process has yet to read."""

    def __init__(self, now_ns: int) -> None:
        self._looked_ns = now_ns
        self._read_ns = now_ns
        """Until when all has been read, while the backlog is being read."""
        self._reading_until_ns = now_ns

    def read_until(self, now_ns: int) -> int:
        """Return until when all has been read; to be called many times a second.

        That is now or, for a while after a standstill, the beginning of the standstill.
        """
        if now_ns - self._looked_ns > STANDSTILL_NS:
            # What arrived before the last look had been read by then; anything later may still
            # wait. A further standstill, before all is read, counts from its own beginning.
            self._read_ns = self._looked_ns
            self._reading_until_ns = now_ns + READING_NS
        self._looked_ns = now_ns
        return self._read_ns if now_ns < self._reading_until_ns else now_ns
