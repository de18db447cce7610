"""Composes what serves the port of a process and keeps its time.

Every process that listens has it: even one without media limits its sockets by the same beat.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.heartbeat.interval import LoopInterval
from gateway.heartbeat.moderation import Moderation, PacedReader
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.ports import Acceptance, HandshakeRequest, Refusal
from gateway.roles import descriptors
from gateway.settings import Settings
from gateway.sockets.engine import MediaEngine

SWEEP_PARTS = 50
"""Parts in which all sockets are swept: one part each beat, so every socket once a second."""

MODERATION_BEATS = 5
"""Beats between two checks of how busy the sockets are: a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The clock of a process, not started yet."""

    ticker: Ticker
    moderation: Moderation


@dataclass(frozen=True, slots=True)
class Port:
    """The sockets of a process, and its clock."""

    ticker: Ticker
    moderation: Moderation
    engine: MediaEngine

    def start(self, *readers: PacedReader) -> None:
        """Start the heartbeat; the port is bound already. `readers` are paced with the sockets."""
        self.ticker.start()
        for slot in range(BEATS_PER_SECOND):
            self.ticker.add_duty(slot, self._sweep)
        self.moderation.add(self.engine.reader, *readers)
        # Ten of the second's fifty slots, evenly spaced.
        for slot in range(0, BEATS_PER_SECOND, MODERATION_BEATS):
            self.ticker.add_duty(slot, self.moderation.judge)

    def _sweep(self, _now_ns: int) -> None:
        self.engine.sweep(self.ticker.read_ns, SWEEP_PARTS)

    async def stop_beating(self) -> None:
        """Stop the heartbeat."""
        self.ticker.stop()

    async def close_sockets(self) -> None:
        """Begin the closing handshake of every media socket."""
        self.engine.close_all(1001, "the gateway is stopping")


def new_beat(clock_ns: Callable[[], int] = time.monotonic_ns) -> Beat:
    """Return the clock of a process; `clock_ns` is monotonic."""
    moderation = Moderation(LoopInterval())
    return Beat(Ticker(clock_ns, moderation.read), moderation)


def compose_port(
    settings: Settings, beat: Beat, route: Callable[[HandshakeRequest], Acceptance | Refusal]
) -> Port:
    """Return the port of a process; `route` decides opening handshakes of media sockets."""
    engine = MediaEngine(
        route,
        descriptors.media_limits(settings.calls_max),
        beat.ticker.clock_ns,
        trusted_proxies=settings.trusted_proxies,
    )
    return Port(beat.ticker, beat.moderation, engine)


def serve_no_media(_request: HandshakeRequest) -> Refusal:
    """Refuse a media socket at a process that holds no calls."""
    return Refusal(404, "No media socket is served at this address.")
