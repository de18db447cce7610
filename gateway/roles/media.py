"""Composes what carries sound: the heartbeat, media sockets, WebRTC and the calls on them.

Only a process that holds calls has it. Knows no page and no API.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.call import number
from gateway.calls.live import Calls
from gateway.charging.rounds import Metering
from gateway.heartbeat.interval import LoopInterval
from gateway.heartbeat.moderation import Moderation
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.ports import Notify
from gateway.roles import adapters, descriptors
from gateway.roles.access import Access
from gateway.roles.addresses import webrtc_addresses
from gateway.roles.carrier import CarrierSide
from gateway.roles.storage import Stores
from gateway.settings import Settings
from gateway.sockets.engine import MediaEngine
from gateway.webrtc.endpoint import EndpointLimits, WebRtcEndpoint
from media import tones

SWEEP_PARTS = 50
"""Parts in which all sockets are swept: one part each beat, so every socket once a second."""

_MODERATION_BEATS = 5
"""Beats between two judgements of how busy the sockets are: a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Media:
    """Everything between a browser's audio and the carrier's."""

    ticker: Ticker
    moderation: Moderation
    metering: Metering
    endpoint: WebRtcEndpoint | None
    """None where WebRTC is off."""
    calls: Calls
    engine: MediaEngine

    async def bind(self) -> None:
        """Open the UDP port. Raises OSError that names it."""
        if self.endpoint is None:
            return
        try:
            await self.endpoint.start()
        except OSError as error:
            text = f"UDP port {self.endpoint.port}: {error.strerror}"
            raise OSError(error.errno, text) from None

    async def unbind(self) -> None:
        """Close all WebRTC sessions and the port."""
        # First, because its timer must not read a closed port.
        self.moderation.stop()
        if self.endpoint is not None:
            self.endpoint.stop()

    def start(self) -> None:
        """Start the heartbeat and the metering; the ports are bound already."""
        self.ticker.start()
        # The sweep reschedules itself at each beat, until the ticker stops.
        self._sweep()
        ports = self.endpoint.ports if self.endpoint else ()
        self.moderation.add(self.engine.reader, *ports)
        # Ten of the second's fifty slots, evenly spaced.
        for slot in range(0, BEATS_PER_SECOND, _MODERATION_BEATS):
            self.ticker.add_duty(slot, self.moderation.judge)
            if self.endpoint is not None:
                self.ticker.add_duty(slot, self._tick_endpoint)
        self.metering.start()

    def _tick_endpoint(self, now_ns: int) -> None:
        if self.endpoint is not None:
            self.endpoint.tick(now_ns, self.ticker.read_ns)

    def _sweep(self) -> None:
        self.engine.sweep(self.ticker.read_ns, SWEEP_PARTS)
        # One nanosecond ahead means the next beat.
        self.ticker.at(self.ticker.clock_ns() + 1, self._sweep)

    async def stop_beating(self) -> None:
        """Stop the heartbeat."""
        self.ticker.stop()

    async def close_sockets(self) -> None:
        """Begin the closing handshake of every media socket."""
        self.engine.close_all(1001, "the gateway is stopping")


def compose_media(
    settings: Settings,
    stores: Stores,
    carrier_side: CarrierSide,
    access: Access,
    metering: Metering,
    *,
    notify: Notify,
    probe: Callable[[], Awaitable[str]],
    turned_away: Callable[[str, str], None] = lambda _button_id, _code: None,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> Media:
    """Return the media of a process, not started yet.

    Args:
        settings: What the operator has set.
        stores: Where holds are placed.
        carrier_side: Reaches phones, proves requests, ends and remembers what calls leave behind.
        access: Redeems tokens, and bounds how often.
        metering: Charges the calls.
        notify: Told of warnings and cut-offs.
        probe: Looks at the public origin; returns what is wrong with it, or nothing.
        turned_away: Told of a button and the code of the refusal of its visitor's call.
        clock_ns: Monotonic nanoseconds.

    """
    moderation = Moderation(LoopInterval())
    ticker = Ticker(clock_ns, moderation.read)
    endpoint = _endpoint(settings, clock_ns) if settings.webrtc == "on" else None
    calls = Calls(
        settings,
        gate=stores.gate,
        carrier=carrier_side.carrier,
        tokens=access.tokens,
        velocity=access.velocity,
        streams=adapters.build_streams(settings, carrier_side.verifier, ticker),
        metering=metering,
        ticker=ticker,
        stray=carrier_side.ghosts.left,
        found=carrier_side.ghosts.found,
        keep=carrier_side.closings.keep,
        notify=notify,
        endpoint=endpoint,
        probe=probe,
        turned_away=turned_away,
    )
    engine = MediaEngine(
        calls.route,
        descriptors.media_limits(settings.calls_max),
        clock_ns,
        trusted_proxies=settings.trusted_proxies,
    )
    return Media(ticker, moderation, metering, endpoint, calls, engine)


def _endpoint(settings: Settings, clock_ns: Callable[[], int]) -> WebRtcEndpoint:
    addresses, port = webrtc_addresses(settings)
    return WebRtcEndpoint(
        addresses=addresses,
        port=port,
        host=settings.host,
        ptime_ms=int(settings.ptime_ms),
        limits=EndpointLimits(sessions_max=2 * settings.calls_max),
        clock_ns=clock_ns,
    )


def warm_up() -> None:
    """Make the tables that are otherwise made at first use, so that no audio waits for it."""
    tones.hold()
    tones.connecting()
    for country in ("", "US", "GB"):
        for tone in (tones.ringback, tones.busy, tones.congestion):
            tone(country)
    # By far the largest: the metadata of all countries.
    number.load_numbering_plans()
