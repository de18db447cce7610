"""A scripted browser: one call's socket, its microphone, and its WebRTC connection if it wants one.

The microphone sends a frame each 20 ms of an absolute clock: what the script lets it say, silence
in between. All that is heard and told is kept with its time.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import deque
from datetime import UTC, datetime
from functools import cache
from types import MethodType
from typing import Any

from websockets.protocol import State

from gateway.webrtc.dtls import Certificate, make_certificate
from gateway.webrtc.endpoint import WebRtcEndpoint
from gateway.webrtc.host import Address
from media.g711 import FRAME_NS, SILENCE_FRAME
from simulators.carrier.media_socket import MediaSocket
from tests.gateway.virtual_time import virtual_loop
from tests.gateway.webrtc.peer import Peer
from tests.whole_calls.network import NetworkLoop, Transport, Way, connect

CHECK_FRAMES = 125
"""Frames between two connectivity checks: 2.5 s."""
LOOK_S = 0.02
"""How often it is looked for what a script waits for; what happens is kept with its own time."""
HANDSHAKE_FRAMES_MAX = 500
"""How long a WebRTC connection may take, in frames: ten seconds, as the gateway allows."""
ADDRESS = ("192.0.2.1", 50_000)
_VOICES = [bytes(low + n % 0x20 for n in range(256)) for low in range(0x20, 0x58, 8)]


@cache
def certificate(_number: int) -> Certificate:
    """Return the certificate of a call's first, second, ... WebRTC connection."""
    return make_certificate(datetime.now(UTC))


def speech(seconds: float, rng: random.Random) -> list[bytes]:
    """Return frames of all levels that are told apart from each other and from silence."""
    count = round(seconds * 50)
    return [rng.randbytes(160).translate(rng.choice(_VOICES)) for _ in range(count)]


class Socket(MediaSocket):
    """A client's WebSocket that also sends audio, while it is open."""

    def send_audio(self, frame: bytes) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_binary(frame)
            self._flush()


class Browser:
    """The caller's end of one call."""

    def __init__(self, url: str, delay_ns: int, jitter_ns: int, rng: random.Random) -> None:
        self._url = url
        self._delay_ns = delay_ns
        self._jitter_ns, self._rng = jitter_ns, rng
        self._loop = virtual_loop()
        self._voice: deque[bytes] = deque()
        self._count = itertools.count()
        self._began_ns = 0
        self.told: list[tuple[int, dict[str, Any]]] = []
        """When each message came, and what it said."""
        self.frames: list[bytes] = []
        """What was heard, on either path."""
        self.frames_ns: list[int] = []
        self.close_code: int | None = None
        self.peer: Peer | None = None
        self._from_gateway: dict[Address, Way] = {}
        """By the address of each peer, for a session that is being replaced still sends."""
        self.sends_packets = False
        self.packet_ways: tuple[Way, ...] = ()
        """The ways of packets, to the gateway and from it."""
        self._sequence: int | None = None
        self._lost = 0
        """Packets missing by their numbers."""
        self._open()
        self._microphone = asyncio.get_running_loop().create_task(self._speak())

    def stop(self) -> None:
        if self._microphone.done() and not self._microphone.cancelled():
            self._microphone.result()
        self._microphone.cancel()

    # The socket.

    def _open(self) -> None:
        loop = self._loop
        assert isinstance(loop, NetworkLoop)
        self.socket = Socket(self._url, "", self)
        self.close_code = None
        self.transport = connect(self.socket, loop.serve(), self._delay_ns)

    async def opened(self) -> None:
        await self.socket.opened

    def on_text(self, payload: bytes) -> None:
        self.told.append((self._loop.now_ns, json.loads(payload)))

    def on_binary(self, payload: bytes) -> None:
        self._hear(payload)

    def on_close(self, code: int) -> None:
        self.close_code = code

    def say(self, **message: Any) -> None:
        """Send a control message."""
        self.socket.send(json.dumps(message).encode())

    def loses_socket(self) -> None:
        """Lose the network under the socket, both ways at once."""
        self.transport.abort()

    async def reopens(self) -> None:
        """Open another socket and take the call up by it."""
        ready = self.of("ready")[-1]
        self._open()
        await self.opened()
        self.say(type="resume", version=1, call_id=ready["call_id"], token=ready["resume_token"])

    @property
    def ways(self) -> tuple[Way, Way]:
        """The way to the gateway and the way from it."""
        receive = self.transport.out._receive
        assert isinstance(receive, MethodType)
        far = receive.__self__
        assert isinstance(far, Transport)
        return self.transport.out, far.out

    # The microphone, and the ear.

    def speaks(self, frames: list[bytes]) -> None:
        """Say this, behind what there is to say already."""
        self._voice.extend(frames)

    @property
    def is_silent(self) -> bool:
        """Whether all has been said."""
        return not self._voice

    async def _speak(self) -> None:
        await self.opened()
        self._began_ns = self._loop.now_ns
        for count in self._count:
            late_ns = self._rng.randrange(self._jitter_ns + 1)
            due_ns = self._began_ns + count * FRAME_NS + late_ns
            await asyncio.sleep((due_ns - self._loop.now_ns) / 1e9)
            frame = self._voice.popleft() if self._voice else SILENCE_FRAME
            if self.peer is not None and self.peer.connected and not count % CHECK_FRAMES:
                self.peer.connect()
            if self.sends_packets and self.peer is not None:
                self.peer.send_audio(frame)
            else:
                self.socket.send_audio(frame)

    def _hear(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.frames_ns.append(self._loop.now_ns)

    def _hear_packet(self, sequence: int, _timestamp: int, _marker: bool, frame: bytes) -> None:
        if self._sequence is not None:
            self._lost += (sequence - self._sequence - 1) & 0xFFFF
        self._sequence = sequence
        self._hear(frame)

    async def reports(self) -> None:
        """Report once a second what was heard, while the socket is open."""
        while True:
            await asyncio.sleep(1)
            if not self.transport.is_closing():
                self.say(type="report", packets=len(self.frames), lost=self._lost, buffer_ms=40)

    @property
    def heard(self) -> bytes:
        """All that was heard."""
        return b"".join(self.frames)

    # WebRTC.

    def _take_datagram(self, datagram: bytes, address: Address) -> None:
        self._from_gateway[address].send(datagram)

    async def moves_to_webrtc(self, endpoint: WebRtcEndpoint) -> None:
        """Offer, shake hands, and hear and speak by packets from then on."""
        # Each connection of a browser has a port and a certificate of its own.
        number = len(self.of("answer"))
        address = ADDRESS[0], ADDRESS[1] + number
        to_gateway = Way(self._delay_ns, lambda datagram: endpoint.take(datagram, address))
        self.peer = Peer(to_gateway.send, certificate=certificate(number))
        self._sequence = None
        self.peer.on_audio = self._hear_packet
        self._from_gateway[address] = from_gateway = Way(self._delay_ns, self.peer.receive)
        self.packet_ways = to_gateway, from_gateway
        endpoint.send = self._take_datagram
        self.say(type="offer", id=1, sdp=self.peer.offer())
        self.peer.accept((await self.wait("answer"))["sdp"])
        self.peer.connect()
        for _ in range(HANDSHAKE_FRAMES_MAX):
            if self.peer.connected:
                break
            await asyncio.sleep(FRAME_NS / 1e9)
        assert self.peer.connected
        await self.asks("media", path="webrtc")
        self.sends_packets = True

    async def moves_to_socket(self) -> None:
        """Hear and speak by the socket again."""
        self.sends_packets = False
        await self.asks("media", path="websocket")

    # What was told.

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type."""
        return [message for _, message in self.told if message["type"] == kind]

    def when(self, kind: str) -> list[int]:
        """When messages of this type came."""
        return [at_ns for at_ns, message in self.told if message["type"] == kind]

    @property
    def kinds(self) -> list[str]:
        """The types of all messages."""
        return [message["type"] for _, message in self.told]

    async def asks(self, kind: str, **message: Any) -> None:
        """Ask for something that is confirmed by the same message."""
        self.say(type=kind, **message)
        assert (await self.wait(kind)) == {"type": kind, **message}

    async def wait(self, kind: str, seconds_max: float = 100) -> dict[str, Any]:
        """Let time pass until there is a message of this type that was not there before."""
        known = len(self.of(kind))
        for _ in range(round(seconds_max / LOOK_S)):
            if len(found := self.of(kind)) > known:
                return found[-1]
            await asyncio.sleep(LOOK_S)
        raise AssertionError(f"no {kind}: {self.told}")
