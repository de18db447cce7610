"""A server of WebRTC audio as one writes it with aiortc. Run as a process by the benchmark.

What a browser says comes back to it, as in aiortc's own server example: decoded, waited for and
coded anew. The codec is the one of the offer.
"""

from __future__ import annotations

import asyncio

import aioice.ice
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from benchmarks import loopback
from benchmarks.peers.offers import serve_offers


class Server:
    """All connections of the process."""

    def __init__(self) -> None:
        self._connections: set[RTCPeerConnection] = set()

    async def answer(self, offer: str) -> str:
        """Take a browser's offer."""
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connections.add(connection)

        @connection.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            connection.addTrack(track)

        @connection.on("connectionstatechange")
        async def on_change() -> None:
            if connection.connectionState in {"closed", "failed"}:
                self._connections.discard(connection)
                await connection.close()

        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp


def main() -> None:
    """Serve."""
    # It would leave the loopback interface out.
    aioice.ice.get_host_addresses = lambda **_: [loopback.HOST]
    asyncio.run(serve_offers(Server().answer))


if __name__ == "__main__":
    main()
