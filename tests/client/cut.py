"""A proxy that cuts connections when a test says so, and notes what was asked by them."""

import asyncio
import contextlib

from tests.tcp_server import HOST, tcp_server
from tests.valkey import free_port


class Cutter:
    """Leads connections to a port of this machine."""

    def __init__(self, port):
        self.target, self.port = port, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.heads: list[bytes] = []
        """What each connection began with."""
        self._writers = set()
        self._server = contextlib.AsyncExitStack()

    async def __aenter__(self):
        await self._server.enter_async_context(tcp_server(self._serve, port=self.port))
        return self

    async def __aexit__(self, *_error):
        await self._server.aclose()

    def cut(self):
        """Break all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        there, out = await asyncio.open_connection(HOST, self.target)
        both = {writer, out}
        self._writers |= both
        with contextlib.closing(out):
            out.write(head)
            await asyncio.gather(_copy(reader, out), _copy(there, writer))
        self._writers -= both


async def _copy(source, sink):
    while part := await source.read(65536):
        sink.write(part)
    sink.close()
