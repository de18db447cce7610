"""The other end of a media socket, and what a leg sees of it; for the tests of this folder."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

from websockets.utils import apply_mask

from gateway.ports import Acceptance, HandshakeRequest, MediaConnection, Refusal
from gateway.sockets.engine import MediaEngine
from gateway.sockets.limits import MediaLimits

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"  # the key of the examples in RFC 6455, 5.7
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
PATH = "/n/one/media/browser"


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length_bytes: int | None = None,
) -> bytes:
    """Write a client frame, right or wrong; `length_bytes` 0, 2 or 8 forces a length's form."""
    length = len(payload)
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 1 << 16 else 8
    short = {0: length, 2: 126, 8: 127}[length_bytes]
    head = bytes((fin << 7 | rsv << 4 | opcode, masked << 7 | short))
    head += length.to_bytes(length_bytes, "big") if length_bytes else b""
    return head + (MASK + apply_mask(payload, MASK) if masked else payload)


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def handshake(path: str = PATH, *, method: str = "GET", **changes: str | None) -> bytes:
    """Write an opening handshake; a header named in `changes` is replaced, or left out if None."""
    headers: dict[str, str | None] = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Clock:
    """Monotonic nanoseconds that stand still until moved."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> int:
        self.now_ns += int(seconds * 1e9)
        return self.now_ns


class Leg:
    """Records what a connection delivers; `got` is set whenever something comes."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.got = asyncio.Event()
        self.connection: MediaConnection

    def attach(self, connection: MediaConnection) -> None:
        self.connection = connection
        connection.on_text = lambda payload: self._note("text", payload)
        connection.on_binary = lambda payload: self._note("binary", payload)
        connection.on_close = lambda code: self._note("close", code)

    def _note(self, kind: str, value: Any) -> None:
        assert type(value) is (int if kind == "close" else bytes)
        self.events.append((kind, value))
        self.got.set()

    async def wait(self, count: int) -> list[tuple[str, Any]]:
        """Return the events once there are `count` of them."""
        async with asyncio.timeout(5):
            while len(self.events) < count:
                self.got.clear()
                await self.got.wait()
        return self.events


class EchoLeg(Leg):
    """Sends every message back the way it came."""

    def attach(self, connection: MediaConnection) -> None:
        super().attach(connection)
        connection.on_text = connection.send_text
        connection.on_binary = connection.send_audio_binary


class Peer:
    """A client that can say anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None) -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read the response's head: status and headers by lower-case name."""
        async with asyncio.timeout(5):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = [line.split(": ", 1) for line in lines[1:-2]]
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in pairs}

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Read a response that has a length."""
        status, headers = await self.head()
        async with asyncio.timeout(5):
            body = await self.reader.readexactly(int(headers["content-length"]))
        return status, headers, body

    async def frame(self) -> tuple[int, bytes]:
        """Read one server frame: opcode and payload. Ours are never masked nor fragmented."""
        async with asyncio.timeout(5):
            first, second = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80
            assert second < 128
            length = second
            if second > 125:
                raw = await self.reader.readexactly(2 if second == 126 else 8)
                length = int.from_bytes(raw, "big")
                assert length > 125 if second == 126 else length > 65535  # the shortest form
            return first & 15, await self.reader.readexactly(length)

    async def closed(self) -> int:
        """Read the close frame and the end of the stream; return the code, 1005 if it had none."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        await self.end()
        return int.from_bytes(payload[:2], "big") if payload else 1005

    async def end(self) -> bytes:
        """Read to the end of the stream, and close this side."""
        async with asyncio.timeout(5):
            rest = await self.reader.read()
        await self.leave()
        return rest

    async def leave(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    def reset(self) -> None:
        """Vanish with an RST instead of a FIN."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class MediaServer:
    """An engine that listens, its legs, and its peers."""

    def __init__(self, engine: MediaEngine, server: asyncio.Server, legs: list[Leg]) -> None:
        self.engine = engine
        self.server = server
        self.legs = legs
        self.port = server.sockets[0].getsockname()[1]
        self.requests: list[HandshakeRequest] = []
        self.peers: list[Peer] = []

    @classmethod
    async def start(
        cls,
        clock: Callable[[], int],
        *,
        limits: MediaLimits | None = None,
        router: Callable[[HandshakeRequest], Acceptance | Refusal] | None = None,
        leg: type[Leg] = Leg,
        tls: ssl.SSLContext | None = None,
    ) -> MediaServer:
        legs: list[Leg] = []

        def route(request: HandshakeRequest) -> Acceptance | Refusal:
            media_server.requests.append(request)
            if router is not None:
                return router(request)
            legs.append(leg())
            return Acceptance(legs[-1].attach)

        engine = MediaEngine(route, limits, clock)
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        server = await loop.create_server(engine.protocol_factory, sock=listener, ssl=tls)
        media_server = cls(engine, server, legs)
        return media_server

    async def connect(self, data: bytes = b"") -> Peer:
        """Connect and send `data`."""
        peer = await Peer.connect(self.port)
        self.peers.append(peer)
        peer.send(data)
        return peer

    async def open(self, data: bytes = b"") -> tuple[Peer, Leg]:
        """Open a WebSocket with `data` behind the handshake in the same write."""
        peer = await self.connect(handshake() + data)
        status, _ = await peer.head()
        assert status == 101
        return peer, self.legs[-1]

    async def gone(self) -> None:
        """Return once no connection is left."""
        async with asyncio.timeout(5):
            while self.engine.connections:
                await asyncio.sleep(0.002)

    async def stop(self) -> None:
        self.server.close()
        self.engine.abort_all()
        for peer in self.peers:
            await peer.leave()
        await self.gone()


class DeafPeer:
    """A client with a small receive buffer that reads only when told to."""

    def __init__(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._socket = connection
        self._held = b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        if tls is not None:
            self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> DeafPeer:
        """Open a WebSocket; the response to the handshake is the last thing read unasked."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", port))
        peer = cls(connection, tls)
        await peer._shake_hands()
        await peer._send(handshake())
        while b"\r\n\r\n" not in peer._held:
            peer._held += await peer._receive(4096)
        peer._held = peer._held.partition(b"\r\n\r\n")[2]
        return peer

    async def frames_until(self, last: tuple[int, bytes]) -> list[tuple[int, bytes]]:
        """Read frames up to and including `last`."""
        frames: list[tuple[int, bytes]] = []
        async with asyncio.timeout(5):
            while last not in frames:
                data = await self._receive()
                assert data, "the stream ended"
                self._held += data
                self._take_frames(frames)
        assert self._held == b""
        return frames

    async def frames_to_end(self) -> list[tuple[int, bytes]]:
        """Read frames until the stream ends."""
        frames: list[tuple[int, bytes]] = []
        async with asyncio.timeout(5):
            while data := await self._receive():
                self._held += data
                self._take_frames(frames)
        return frames

    def _take_frames(self, frames: list[tuple[int, bytes]]) -> None:
        while len(self._held) >= 4:
            length, start = self._held[1], 2
            if length == 126:
                length, start = int.from_bytes(self._held[2:4], "big"), 4
            if len(self._held) < start + length:
                return
            frames.append((self._held[0] & 15, self._held[start : start + length]))
            self._held = self._held[start + length :]

    async def _shake_hands(self) -> None:
        while self._tls is not None:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send_outgoing()
                await self._read_incoming()
            else:
                return

    async def _send(self, data: bytes) -> None:
        self._outgoing.write(data) if self._tls is None else self._tls.write(data)
        await self._send_outgoing()

    async def _receive(self, size: int = 1 << 16) -> bytes:
        """Return some of what has come, once something has; nothing at the end."""
        if self._tls is None:
            return await asyncio.get_running_loop().sock_recv(self._socket, size)
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                await self._read_incoming()
            except ssl.SSLZeroReturnError:
                return b""

    async def _send_outgoing(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, self._outgoing.read())

    async def _read_incoming(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
        self._incoming.write(data) if data else self._incoming.write_eof()

    def leave(self) -> None:
        self._socket.close()
