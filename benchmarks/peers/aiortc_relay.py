"""Relays WebRTC audio to a Media Stream, written the usual way with aiortc.

Run by the benchmark. Starlette serves the sockets; aiortc takes the browser's offer, and decodes,
buffers and encodes its audio. It meters nothing, detects no speech and checks no signature.
"""

from __future__ import annotations

import asyncio
import fractions
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

import aioice.ice
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.codecs.g711 import PcmuDecoder, PcmuEncoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import MediaStreamError
from av.frame import Frame
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks import loopback
from benchmarks.peers import starlette_relay

RATE_HZ = 8_000


class PhoneTrack(MediaStreamTrack):
    """What the phone says, as aiortc asks for it."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        # Unbounded: what waits here is the relay's own delay, and is measured as such.
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._decoder = PcmuDecoder()
        self._samples = 0

    def put(self, payload: bytes) -> None:
        """Take mu-law as it comes."""
        for frame in self._decoder.decode(JitterFrame(payload, self._samples)):
            # aiortc derives the timestamps of its packets from these.
            frame.pts, frame.time_base = self._samples, fractions.Fraction(1, RATE_HZ)
            self._samples += len(payload)
            self._frames.put_nowait(frame)

    async def recv(self) -> Frame:
        """Return the next frame when it has come."""
        return await self._frames.get()


@dataclass(slots=True)
class Pair(starlette_relay.Pair):
    """The two legs of a call, and what moves its audio."""

    phone: PhoneTrack = field(default_factory=PhoneTrack)
    connection: RTCPeerConnection | None = None
    relaying: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Relay:
    """All calls by number, and the two endpoints."""

    pairs: dict[str, Pair] = field(default_factory=dict)

    def _pair(self, websocket: WebSocket) -> Pair:
        return self.pairs.setdefault(websocket.path_params["number"], Pair())

    async def browser(self, websocket: WebSocket) -> None:
        """Answer what a browser says about its audio."""
        await websocket.accept()
        pair = self._pair(websocket)
        pair.browser = websocket
        try:
            while True:
                message = await websocket.receive_json()
                if message["type"] == "offer":
                    sdp = await _answer(pair, message["sdp"])
                    await websocket.send_json({"type": "answer", "id": message["id"], "sdp": sdp})
                else:
                    # `media`: the move is confirmed as the gateway confirms it.
                    await websocket.send_json(message)
        except (WebSocketDisconnect, RuntimeError):
            if pair.connection is not None:
                await pair.connection.close()

    async def carrier(self, websocket: WebSocket) -> None:
        """Give a carrier's media messages to its browser."""
        await websocket.accept()
        pair = self._pair(websocket)
        try:
            while True:
                event = await websocket.receive_json()
                if event["event"] == "media":
                    pair.phone.put(b64decode(event["media"]["payload"]))
                elif event["event"] == "start" and pair.browser is not None:
                    pair.carrier, pair.stream_sid = websocket, event["streamSid"]
                    await pair.browser.send_json({"type": "accept"})
        except (WebSocketDisconnect, RuntimeError):
            pair.carrier = None


async def _answer(pair: Pair, offer: str) -> str:
    connection = pair.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    @connection.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        # Kept, for a task that nothing refers to may be collected.
        pair.relaying = asyncio.create_task(_relay(pair, track))

    # In the order of WebRTC: the offer first, then our track, then the answer to both.
    await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    connection.addTrack(pair.phone)
    await connection.setLocalDescription(await connection.createAnswer())
    return connection.localDescription.sdp


async def _relay(pair: Pair, track: MediaStreamTrack) -> None:
    """Give the carrier what the browser says."""
    encoder = PcmuEncoder()
    try:
        while True:
            heard = await track.recv()
            assert isinstance(heard, Frame)
            payloads, _ = encoder.encode(heard)
            for payload in payloads:
                if pair.carrier is not None:
                    media = {"payload": b64encode(payload).decode()}
                    message = {"event": "media", "streamSid": pair.stream_sid, "media": media}
                    await pair.carrier.send_text(json.dumps(message, separators=(",", ":")))
    except (MediaStreamError, WebSocketDisconnect, RuntimeError):
        pair.carrier = None


def main() -> None:
    """Serve on the listening socket whose descriptor is the first argument."""
    # It would leave the loopback interface out.
    aioice.ice.get_host_addresses = lambda **_: [loopback.HOST]
    relay = Relay()
    starlette_relay.serve(relay.browser, relay.carrier)


if __name__ == "__main__":
    main()
