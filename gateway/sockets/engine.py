"""Makes, sweeps and closes all media sockets of a node, and counts its strangers.

It owns no timer: the heartbeat calls `sweep` a few times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import structlog

from gateway.limits.sole_peer import SolePeer
from gateway.limits.source import source_of
from gateway.limits.source_budget import SourceBudget
from gateway.nanoseconds import SECOND_NS
from gateway.ports import Router
from gateway.sockets.addresses import Proxies
from gateway.sockets.counters import EngineCounters
from gateway.sockets.direct import DirectReader
from gateway.sockets.fast_lane import MediaSocket
from gateway.sockets.limits import MediaLimits
from gateway.sockets.strangers import PeerStatus, Stranger, Strangers

log = structlog.get_logger(__name__)

_GOING_AWAY: Final = 1001
_LOG_INTERVAL_NS: Final = 60 * SECOND_NS


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
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        """Make an engine without sockets.

        Args:
            router: Decides opening handshakes.
            limits: What peers may take.
            clock_ns: Monotonic.
            trusted_proxies: Addresses and networks that are believed when they name a client.

        """
        self.limits = limits or MediaLimits()
        self.clock_ns = clock_ns
        self.answer_fields: dict[str, str] = {}
        """Header fields of every answer on the port."""
        self.counters = EngineCounters()
        self.connections: set[MediaSocket] = set()
        """Every socket from its first byte to its last, in any phase."""
        self.authenticated: set[MediaSocket] = set()
        """The sockets whose peers are authenticated."""
        self.proxies = Proxies(trusted_proxies)
        self.strangers = Strangers(self.limits)
        """Every other connection of the process, of any protocol."""
        per_s = self.limits.connections_per_s
        at_once = self.limits.connections_at_once
        self._of_address = SourceBudget(per_s, at_once)
        """New connections by address; `_of_network` has them by network."""
        self._of_network = SourceBudget(2 * per_s, 2 * at_once)
        self.requests = SourceBudget(self.limits.requests_per_s, self.limits.requests_at_once)
        self.peer = SolePeer()
        """Who sends all requests and handshakes, if it is one."""
        # In the past, so that the first crowd is logged at once.
        self._logged_ns = clock_ns() - _LOG_INTERVAL_NS
        self._logged_dropped = self._logged_rejected = 0
        self.watched: set[Watched] = set()
        """Connections of other protocols on the same port; they enter and leave by themselves."""
        self._router = self.proxies.wrap(router)
        self.reader = DirectReader(clock_ns, self.limits.frames)
        """Reads the sockets that need no transport; its pace can be set."""
        self._turn: list[Watched] = []
        """Connections that the current turn of the sweep has not looked at yet."""
        self._turn_size = 0

    def protocol_factory(self) -> MediaSocket:
        """Make the protocol of a connection that carries media only."""
        return self._make_socket(None)

    def may_connect(self, host: str) -> bool:
        """Count a connection from this address; False where its source makes too many."""
        if host in self.proxies:
            return True
        (network, address), now_ns = source_of(host), self.clock_ns()
        # In this order: what its address may not have does not use up the network of its
        # neighbours.
        if self._of_address.take(address, now_ns) and self._of_network.take(network, now_ns):
            return True
        self.counters.rejected += 1
        return False

    def admit(self, host: str, drop: Callable[[], object]) -> Stranger:
        """Count a new connection from this address; it may be dropped at once, or later."""
        # A proxy has many clients; the head of each request or handshake names one.
        source = None if host in self.proxies else source_of(host)
        return self.strangers.enter(source, drop, self.clock_ns())

    def take_over(
        self,
        transport: asyncio.Transport,
        data: bytes,
        stranger: Stranger,
        roster: set[Any],
    ) -> MediaSocket:
        """Make a media socket out of a connection whose first bytes have been read.

        Args:
            transport: The connection, owned by another protocol so far.
            data: What was received on it and not processed yet.
            stranger: Its place in the accounting, with the deadline of its handshake.
            roster: Connections of the server that accepted it; the socket is in it while it lives.

        """
        media = self._make_socket(stranger, roster)
        transport.set_protocol(media)
        # The transport calls these for its first protocol only; the bytes read so far begin with
        # the head of the handshake, which the media socket judges from its start.
        media.connection_made(transport)
        media.data_received(data)
        return media

    def sweep(self, read_ns: int, parts: int = 1) -> None:
        """Check sockets for congestion, deadlines and silence: all, or the next of `parts` parts.

        Handshakes that are late are dropped at each sweep. Every socket should have its turn about
        once a second; in parts, no sweep is long. Asking the kernel costs more than anything else
        that is done for a socket but its frames.

        Args:
            read_ns: Until when all that has come has been read: now, but for a while after this
                process stood still.
            parts: In how many sweeps every socket has its turn.

        """
        # With the present time, not `read_ns`: what a standstill excuses is its whole length. Here
        # too, because where no socket is read directly nothing else asks often enough.
        self.reader.standstill.look(self.clock_ns())
        self.counters.late += self.strangers.drop_late(read_ns)
        self._report_crowd(read_ns)
        # A list of its own, because connections come and go between the parts of a turn. Those that
        # come meanwhile are looked at in the next one.
        if not self._turn:
            self._turn = [*self.connections, *self.watched]
            self._turn_size = len(self._turn)
        # Rounded up, or a turn would need one sweep more than `parts`.
        count = -(-self._turn_size // parts)
        part = self._turn[:count]
        self._turn = self._turn[count:]
        for watched in part:
            # The list was made up to a second ago: sockets that have ended since are left alone.
            if watched in self.connections or watched in self.watched:
                watched.check(read_ns)

    def close_all(self, code: int = _GOING_AWAY, reason: str = "") -> None:
        """Start the closing handshake on every open socket."""
        for media in tuple(self.connections):
            media.close(code, reason)

    def abort_all(self) -> None:
        """Drop every socket at once."""
        for media in tuple(self.connections):
            media.abort()

    def _make_socket(self, stranger: Stranger | None, *rosters: set[Any]) -> MediaSocket:
        return MediaSocket(
            self._router,
            self.limits,
            self.clock_ns,
            self.counters,
            self.reader,
            self.connections,
            *rosters,
            status=PeerStatus(self, stranger),
        )

    def _report_crowd(self, now_ns: int) -> None:
        """Log that strangers are dropped or rejected, at most once a minute."""
        dropped = self.strangers.dropped - self._logged_dropped
        rejected = self.counters.rejected - self._logged_rejected
        # Anyone can bring this about, as often as they like: the log must not grow with it.
        if (dropped or rejected) and now_ns - self._logged_ns >= _LOG_INTERVAL_NS:
            self._logged_ns = now_ns
            self._logged_dropped += dropped
            self._logged_rejected += rejected
            log.warning("too many connections", dropped=dropped, rejected=rejected)
