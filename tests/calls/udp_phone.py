"""The WebRTC side of a test's phone: a peer on a real UDP socket."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from tests.calls.world import Phone, eventually
from tests.gateway.webrtc.peer import Peer

CHECK_S = 0.5


class UdpPhone(asyncio.DatagramProtocol):
    """One browser's connection, from its offer on the call's socket."""

    def __init__(self) -> None:
        self.peer = Peer(self._send)
        self.is_cut = False
        """Whether the network between browser and gateway carries nothing."""
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, _addr: object) -> None:
        if not self.is_cut:
            self.peer.receive(data)

    def _send(self, datagram: bytes) -> None:
        if self._transport is not None and not self.is_cut and not self._transport.is_closing():
            self._transport.sendto(datagram, self.peer.candidates[0])

    async def connect(self, phone: Phone, offer_id: int = 1) -> None:
        """Offer on the socket, check and shake hands until audio can pass."""
        await phone.send(type="offer", id=offer_id, sdp=self.peer.offer())
        answer = await phone.wait("answer", where=lambda event: event["id"] == offer_id)
        self.peer.accept(answer["sdp"])
        self.peer.connect()

        async def connected() -> bool:
            return self.peer.connected

        await eventually(connected)

    async def choose(self, phone: Phone, path: str = "webrtc") -> None:
        """Ask for the phone's voice by this way, and see that it is so."""
        phone.events[:] = [event for event in phone.events if event["type"] != "media"]
        await phone.send(type="media", path=path)
        assert (await phone.wait("media"))["path"] == path

    async def speak(self, frames: list[bytes]) -> None:
        """Send packets as a microphone does, with a check now and then."""
        start = time.monotonic()
        for index, frame in enumerate(frames):
            await asyncio.sleep(max(0.0, start + index * 0.02 - time.monotonic()))
            if index % 25 == 0:
                self._send(self.peer.check())
            self.peer.send_audio(frame)

    @property
    def heard(self) -> list[bytes]:
        """The payloads that have come."""
        return [payload for *_, payload in self.peer.audio]


@contextlib.asynccontextmanager
async def udp_phone() -> AsyncIterator[UdpPhone]:
    """Open a phone's UDP socket."""
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(UdpPhone, local_addr=("127.0.0.1", 0))
    try:
        yield phone
    finally:
        transport.close()
        # It closes its socket in the loop's next pass.
        await asyncio.sleep(0)
