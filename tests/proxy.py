"""A proxy with TLS in front of a port of this machine, such as Caddy or nginx are."""

import asyncio
import contextlib
import ssl
from types import TracebackType
from typing import Self

from tests.certificates import Pair
from tests.tcp_server import HOST, tcp_server

_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Hands on what comes, or all but the wish for a WebSocket; an asynchronous context manager."""

    def __init__(self, port: int, pair: Pair, *, passes_upgrade: bool = True) -> None:
        self._port = port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*pair)
        self._passes_upgrade = passes_upgrade
        self._server = contextlib.AsyncExitStack()
        self.origin = ""

    async def __aenter__(self) -> Self:
        served = tcp_server(self._serve, tls=self._context)
        self.origin = f"https://localhost:{await self._server.enter_async_context(served)}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not self._passes_upgrade:
            head = head.replace(b"Upgrade: websocket", b"X-Upgrade: websocket")
        try:
            there, to_there = await asyncio.open_connection(HOST, self._port)
        except OSError:
            writer.write(_BAD_GATEWAY)
            return
        with contextlib.closing(to_there):
            to_there.write(head)
            await asyncio.gather(_pass(reader, to_there), _pass(there, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
