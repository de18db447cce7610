"""Declares what audio is sent through on its way out of a call, and the mixes it may pass.

What it is sent through is held whole: a bound method of its own would be one more object to fetch
for each frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol


class CarrierAudio(Protocol):
    """Sends what the phone hears; `gateway.ports.CarrierLeg` is one."""

    def send_audio(self, payload: bytes) -> None:
        """Let the phone hear this behind what was sent before."""

    def send_mark(self, name: str) -> None:
        """Mark the end of the audio sent so far."""

    def clear(self) -> None:
        """Discard all audio that has not been played yet."""


class BrowserAudio(Protocol):
    """Sends what the caller hears; `gateway.ports.MediaConnection` is one."""

    def send_audio_binary(self, payload: bytes) -> None:
        """Send audio in a binary message."""


class PacketAudio(Protocol):
    """Sends what the caller hears; `gateway.ports.AudioSession` is one."""

    def send_audio(self, payload: bytes, timestamp_ms: int | None = None) -> None:
        """Send one packet of mu-law, captured at a time of the carrier's clock."""


Mix = Callable[[bytes], bytes]
"""Takes a piece of mu-law on its way out; returns what is sent in its place, of the same length."""


class MixedCarrier:
    """Sends what the phone hears through a mix."""

    def __init__(self, carrier: CarrierAudio, mix: Mix) -> None:
        self._carrier = carrier
        self._mix = mix

    def send_audio(self, payload: bytes) -> None:
        """Let the phone hear what the mix makes of it."""
        self._carrier.send_audio(self._mix(payload))

    def send_mark(self, name: str) -> None:
        """Mark the end of the audio sent so far."""
        self._carrier.send_mark(name)

    def clear(self) -> None:
        """Discard all audio that has not been played yet."""
        self._carrier.clear()


class MixedPackets:
    """Sends what the caller hears by WebRTC through a mix."""

    def __init__(self, session: PacketAudio, mix: Mix) -> None:
        self._session = session
        self._mix = mix

    def send_audio(self, payload: bytes, timestamp_ms: int | None = None) -> None:
        """Send one packet of what the mix makes of it."""
        self._session.send_audio(self._mix(payload), timestamp_ms)


class Nowhere:
    """Stands in for a leg or a connection that is not there yet."""

    def send_audio(self, _payload: bytes) -> None:
        """Discard it."""

    def send_audio_binary(self, _payload: bytes) -> None:
        """Discard it."""

    def send_mark(self, _name: str) -> None:
        """Discard it."""

    def clear(self) -> None:
        """Discard nothing."""


NOWHERE: Final = Nowhere()
