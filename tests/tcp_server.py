"""A TCP server of a test's own, of which nothing is left once the test is done with it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

HOST = "127.0.0.1"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@contextlib.asynccontextmanager
async def tcp_server(
    serve: Serve, *, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[int]:
    """Let `serve` have each connection to a port of this machine, which is yielded.

    A connection is closed when `serve` returns, and at the end of the block in any case: asyncio's
    own server leaves open whose `serve` has not returned. Raises then what `serve` has raised,
    unless the peer was gone.
    """
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[asyncio.create_task(_serve(serve, reader, writer))] = writer

    server = await asyncio.start_server(accept, HOST, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # First no more are accepted: of one that is half made a closed server loses sight.
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener)
        await _turns()
        server.close()
        for task in connections:
            task.cancel()
        outcomes = await asyncio.gather(*connections, return_exceptions=True)
        for writer in connections.values():
            # Not closed: that would wait for peers who do not read.
            writer.transport.abort()
        await _turns()
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _serve(serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await serve(reader, writer)


async def _turns() -> None:
    """Let the loop do what it has begun: to make a connection takes three turns."""
    for _ in range(3):
        await asyncio.sleep(0)
