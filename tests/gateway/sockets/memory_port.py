"""The port's HTTP protocol on a transport in memory, and what its application is asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.ports import Refusal
from gateway.sockets.engine import MediaEngine
from gateway.sockets.http_protocol import OnePortProtocol
from gateway.sockets.limits import MediaLimits
from tests.gateway.sockets.socket_peers import Clock

PASSES = 12
"""Passes of the loop in which an answer is given."""


class Transport(asyncio.Transport):
    """Keeps what is written; hands on what comes until it is closed."""

    def __init__(self) -> None:
        super().__init__({"peername": ("203.0.113.7", 5000), "sockname": ("192.0.2.1", 80)})
        self.sent = bytearray()
        self.has_ended = False
        self.is_closed = False
        self._reads = True
        self.unsent_bytes = 0
        self.on_closed: Callable[[], object] = lambda: None

    def write(self, data: Any) -> None:
        assert not self.has_ended, data
        if not self.is_closed:
            self.sent += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_ended = True

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.on_closed()

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_reading(self) -> bool:
        return self._reads

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True


class House:
    """An application, and what it was asked for."""

    def __init__(self, *trusted_proxies: str, limits: MediaLimits | None = None) -> None:
        self.release = asyncio.Event()
        self.clock = Clock()
        self.asked: list[tuple[str, bytes | None]] = []
        self.clients: list[str] = []
        routes = [
            Route("/hello", self._hello, methods=["GET", "POST", "CONNECT"]),
            Route("/echo", self._echo, methods=["POST"]),
            Route("/smuggled", self._hello),
            Route("/slow", self._slow),
        ]
        self.config = uvicorn.Config(
            Starlette(routes=routes),
            log_config=None,
            access_log=False,
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            date_header=False,
            server_header=False,
        )
        self.config.load()
        self.state = ServerState()
        self.engine = MediaEngine(
            lambda _: Refusal(404, "No."), limits, self.clock, trusted_proxies
        )

    async def _hello(self, request: Request) -> Response:
        self.asked.append((request.url.path, None))
        self.clients += request.headers.getlist("x-forwarded-for")
        return PlainTextResponse("hello")

    async def _echo(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return PlainTextResponse("nobody reads this", 500)
        self.asked.append((request.url.path, body))
        self.clients += request.headers.getlist("x-forwarded-for")
        return Response(body)

    async def _slow(self, request: Request) -> Response:
        await self.release.wait()
        return PlainTextResponse("slow")

    def port(self, host: str = "203.0.113.7") -> OnePortProtocol:
        stranger = self.engine.admit(host, lambda: None)
        return OnePortProtocol(
            self.engine, stranger, config=self.config, server_state=self.state, app_state={}
        )

    def uvicorn(self) -> asyncio.Protocol:
        return HttpToolsProtocol(config=self.config, server_state=self.state, app_state={})


async def answers(protocol: asyncio.Protocol, *pieces: bytes) -> list[int]:
    """Return the statuses of all final answers to what comes in these pieces."""
    transport = Transport()
    protocol.connection_made(transport)
    for piece in pieces:
        if piece and not transport.is_closed:
            protocol.data_received(piece)
        for _ in range(PASSES):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.sleep(0)
    return [status for status in statuses(bytes(transport.sent)) if status >= 200]


def statuses(sent: bytes) -> list[int]:
    """Read answers to the end of what was sent."""
    found = []
    while sent:
        head, _, sent = sent.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert match, head
        found.append(int(match[1]))
        if found[-1] >= 200:
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            assert length, head
            sent = sent[int(length[1]) :]
    return found
