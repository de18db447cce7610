"""Exchanges offers with a benchmark's WebRTC server: one line of JSON each way.

The server's end runs on asyncio, the generator's blocks.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable

from benchmarks.dial import DialError

LINE_BYTES_MAX = 1 << 20
_READY = b"ready\n"


async def serve_offers(answer: Callable[[str], Awaitable[str]]) -> None:
    """Answer offers on the listening socket whose descriptor is the first argument, for ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The socket listens before the server runs, so that only a word of its own proves it is up.
        writer.write(_READY)
        # One after the other on each connection: answers need no number.
        while line := await reader.readline():
            writer.write(json.dumps(await answer(json.loads(line))).encode() + b"\n")
            await writer.drain()
        writer.close()

    # Inherited, already bound: no port has to be agreed upon.
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = await asyncio.start_server(talk, sock=listener, limit=LINE_BYTES_MAX)
    async with server:
        await server.serve_forever()


class Offers:
    """The generator's end of such a connection."""

    def __init__(self, connection: socket.socket) -> None:
        """Wait until the server is up.

        Raises:
            DialError: it closed instead.
        """
        self._connection = connection
        self._file = connection.makefile("rb")
        # An empty line is the end: the server failed before it was up.
        if self._file.readline(LINE_BYTES_MAX) != _READY:
            self.close()
            raise DialError("the server did not become ready")

    def exchange(self, offer: str) -> str:
        """Return the answer to an offer.

        Raises:
            DialError: the server closed instead.
        """
        self._connection.sendall(json.dumps(offer).encode() + b"\n")
        # An offer holds line ends of its own; in JSON they are escaped.
        line = self._file.readline(LINE_BYTES_MAX)
        if not line:
            raise DialError("the server did not answer an offer")
        answer: str = json.loads(line)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._connection.close()
