"""All media sockets of a node: makes them, sweeps them, closes them.

Knows no HTTP server and owns no timer: whoever keeps the heartbeat calls `sweep` a few times a
second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from gateway.ports import Router
from gateway.sockets.counters import EngineCounters
from gateway.sockets.direct import DirectReader
from gateway.sockets.fast_lane import MediaSocket
from gateway.sockets.limits import MediaLimits
from gateway.sockets.moderation import Moderation

_GOING_AWAY: Final = 1001


class Watched(Protocol):
    """A connection that is not a media socket, or not yet, and has a deadline."""

    def check(self, now_ns: int) -> None:
        """End the connection if it is late."""


class MediaEngine:
    """The media sockets of one process and the bounds they share."""

    def __init__(
        self,
        router: Router,
        limits: MediaLimits | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.limits = limits or MediaLimits()
        self.clock_ns = clock_ns
        self.counters = EngineCounters()
        self.connections: set[MediaSocket] = set()
        """Every socket from its first byte to its last, in whatever phase."""
        self.watched: set[Watched] = set()
        """Connections of other protocols on the same port; they enter and leave by themselves."""
        self._router = router
        self._reader = DirectReader(clock_ns, self.limits.frames)
        self._moderation = Moderation(self.connections, self._reader)
        self._turn: list[Watched] = []
        """What this turn of the sweep has yet to look at."""
        self._turn_size = 0

    def protocol_factory(self) -> MediaSocket:
        """Make the protocol of a connection that carries media only."""
        return self._make_socket()

    def take_over(self, transport: asyncio.Transport, data: bytes, roster: set[Any]) -> MediaSocket:
        """Make a media socket out of a connection whose first bytes have been read.

        Args:
            transport: The connection, owned by another protocol so far.
            data: Everything received on it that nobody has acted on.
            roster: Connections of the server that accepted it; the socket is in it while it lives.

        """
        media = self._make_socket(roster)
        transport.set_protocol(media)
        media.connection_made(transport)
        media.data_received(data)
        return media

    def sweep(self, now_ns: int, parts: int = 1) -> None:
        """Check sockets for congestion, deadlines and silence: all, or the next of `parts` parts.

        Every socket should have its turn about once a second; in parts, no sweep is long. Asking
        the kernel costs more than anything else that is done for a socket but its frames. Where
        there are many, the loop begins to rest between two looks.
        """
        if not self._turn:
            self._turn = [*self.connections, *self.watched]
            self._turn_size = len(self._turn)
        count = -(-self._turn_size // parts)
        now, self._turn = self._turn[:count], self._turn[count:]
        for watched in now:
            if watched in self.connections or watched in self.watched:
                watched.check(now_ns)
        self._moderation.judge()

    def close_all(self, code: int = _GOING_AWAY, reason: str = "") -> None:
        """Start the closing handshake on every open socket."""
        for media in tuple(self.connections):
            media.close(code, reason)

    def abort_all(self) -> None:
        """Drop every socket at once."""
        for media in tuple(self.connections):
            media.abort()

    def _make_socket(self, *rosters: set[Any]) -> MediaSocket:
        return MediaSocket(
            self._router,
            self.limits,
            self.clock_ns,
            self.counters,
            self._reader,
            self.connections,
            *rosters,
        )
