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
from gateway.sockets.fast_lane import MediaSocket
from gateway.sockets.limits import SECOND_NS, MediaLimits

_GOING_AWAY: Final = 1001

DEADLINES_EVERY_NS: Final = SECOND_NS
"""Deadlines are whole seconds long, so they are looked at once a second."""


class Watched(Protocol):
    """A connection that is not a media socket, or not yet, and has a deadline."""

    def check_deadlines(self, now_ns: int) -> None:
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
        self._deadlines_due_ns = 0

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

    def sweep(self, now_ns: int) -> None:
        """Check every socket for congestion, and once a second for deadlines and silence."""
        for media in tuple(self.connections):
            media.check_congestion()
        if now_ns < self._deadlines_due_ns:
            return
        self._deadlines_due_ns = now_ns + DEADLINES_EVERY_NS
        for watched in (*self.connections, *self.watched):
            watched.check_deadlines(now_ns)

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
            self._router, self.limits, self.clock_ns, self.counters, self.connections, *rosters
        )
