"""A proxy with TLS in front of a port of this machine, such as Caddy or nginx are."""

import asyncio
import contextlib
import ssl
from types import TracebackType
from typing import Self

from tests.certificates import Pair

_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Hands on what comes, or all but the wish for a WebSocket; an asynchronous context manager."""

    def __init__(self, port: int, pair: Pair, *, passes_upgrade: bool = True) -> None:
        self._port = port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*pair)
        self._passes_upgrade = passes_upgrade
        self._server: asyncio.Server
        self.origin = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.origin = f"https://localhost:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if not self._passes_upgrade:
                head = head.replace(b"Upgrade: websocket", b"X-Upgrade: websocket")
            try:
                there, to_there = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                writer.write(_BAD_GATEWAY)
            else:
                to_there.write(head)
                await asyncio.gather(_pass(reader, to_there), _pass(there, writer))
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
