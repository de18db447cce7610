"""Composes what carries sound: media sockets, WebRTC and the calls on them.

Only processes that hold calls have it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.calls.live import Calls
from gateway.calls.supervision import Grants
from gateway.charging.rounds import Metering
from gateway.heartbeat.ticker import BEATS_PER_SECOND
from gateway.ports import Notify
from gateway.roles.access import AccessControl
from gateway.roles.addresses import webrtc_addresses
from gateway.roles.carrier import CarrierSide
from gateway.roles.port import MODERATION_BEATS, Port, compose_port, new_beat
from gateway.settings import Settings
from gateway.stores.opened import Stores
from gateway.watching.reporter import Reporter
from gateway.webrtc.endpoint import EndpointLimits, WebRtcEndpoint
from media import tones


@dataclass(frozen=True, slots=True)
class MediaSide:
    """Everything between a browser's audio and the carrier's."""

    port: Port
    metering: Metering
    endpoint: WebRtcEndpoint | None
    """None if WebRTC is off."""
    calls: Calls
    reporter: Reporter

    @staticmethod
    def warm_up() -> None:
        """Make the tones that are otherwise made at first use, so that no audio waits for them."""
        tones.hold()
        tones.connecting()
        tones.supervision()
        for country in ("", "US", "GB"):
            for tone in (tones.ringback, tones.busy, tones.congestion):
                tone(country)

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
        self.port.moderation.stop()
        if self.endpoint is not None:
            self.endpoint.stop()

    def start(self) -> None:
        """Start the heartbeat and the metering; the ports are bound already."""
        self.port.start(*(self.endpoint.ports if self.endpoint else ()))
        if self.endpoint is not None:
            for slot in range(0, BEATS_PER_SECOND, MODERATION_BEATS):
                self.port.ticker.add_duty(slot, self._tick_endpoint)
        self.metering.start()

    def _tick_endpoint(self, now_ns: int) -> None:
        if self.endpoint is not None:
            self.endpoint.tick(now_ns, self.port.ticker.read_ns)


def compose_media(
    settings: Settings,
    stores: Stores,
    carrier_side: CarrierSide,
    access: AccessControl,
    metering: Metering,
    *,
    notify: Notify,
    probe: Callable[[], Awaitable[str]],
    grants: Grants,
    visitor_refused: Callable[[str, str], None] = lambda _button_id, _code: None,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> MediaSide:
    """Return the media of a process, not started yet.

    Args:
        settings: The operator's settings.
        stores: Where holds are placed.
        carrier_side: Reaches phones, and ends and remembers what calls leave behind.
        access: Redeems tokens, and limits how often.
        metering: Charges the calls.
        notify: Receives warnings and cut-offs.
        probe: Checks the public origin; returns what is wrong with it, or nothing.
        grants: Let supervisors in.
        visitor_refused: Called with a button and the code of its visitor's refusal.
        clock_ns: Monotonic nanoseconds.
    """
    beat = new_beat(clock_ns)
    ticker = beat.ticker
    endpoint = _endpoint(settings, clock_ns) if settings.webrtc == "on" else None
    reporter = Reporter(settings.node)
    calls = Calls(
        settings,
        gate=stores.gate,
        carrier=carrier_side.carrier,
        tokens=access.tokens,
        velocity=access.velocity,
        streams=carrier_side.adapter.streams(settings, ticker),
        metering=metering,
        ticker=ticker,
        end_unmatched=carrier_side.ghosts.left,
        found=carrier_side.ghosts.found,
        keep=carrier_side.closings.keep,
        notify=notify,
        endpoint=endpoint,
        probe=probe,
        visitor_refused=visitor_refused,
        on_change=reporter.note,
        grants=grants,
    )
    return MediaSide(compose_port(settings, beat, calls.route), metering, endpoint, calls, reporter)


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
