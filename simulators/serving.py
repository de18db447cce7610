"""Serves a simulated service: one bound port, one uvicorn, inside a running event loop.

The application is passed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

_BACKLOG: Final = 256


Answer = Callable[[Request, Exception], Awaitable[Response]]
"""Makes the reply to a request that failed."""


async def broken_off(request: Request, exc: Exception) -> Response:  # noqa: ARG001 - handler shape
    """Return a reply for a client that has disconnected; it is never read."""
    # Without this handler the disconnect would count, and be logged, as a failure of the server.
    return Response(status_code=400)


class HttpServer:
    """A listening socket, and the web server that answers on it once it has an application."""

    def __init__(self, host: str, port: int, listener: int | None = None) -> None:
        """Bind and listen, as `listen` does. Raises OSError."""
        self._host = host
        # Bound here and not by uvicorn: an address that is taken is reported before anything else
        # is started, and the port that the system chose is known before the first request.
        self._socket = listen(host, port, listener)
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port in use."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def origin(self) -> str:
        """Scheme, host and port, as a client writes them."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def start(self, app: Starlette) -> None:
        """Answer requests in the background."""
        self._server = _Server(_config(app))
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def serve(self) -> None:
        """Wait until the server ends; only while started."""
        assert self._serving is not None, "started"
        # A caller that is cancelled stops waiting, not the server: `stop` ends it in good order.
        await asyncio.shield(self._serving)

    async def stop(self) -> None:
        """Let requests that are being answered finish, then close the port."""
        if self._server is not None and self._serving is not None:
            self._server.ending.set()
            await self._serving
        self._socket.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: signals belong to the program that runs the loop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end, instead of polling for it ten times a second."""
        await self.ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def listen(host: str, port: int, listener: int | None = None) -> socket.socket:
    """Return a socket that listens; port 0 lets the system choose.

    With the descriptor of a `listener`, that one, which listens already. Raises OSError: the
    address is taken, or is none of this machine; the descriptor is no socket's.
    """
    if listener is not None:
        inherited = socket.socket(fileno=listener)
        inherited.setblocking(False)
        return inherited
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart must not wait for connections of the previous run that are still in TIME_WAIT.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # The services start and stop their own parts, and serve no WebSocket; logging is set up by
        # the program.
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn dates its replies in the main loop, which is replaced here: the date would be
        # that of the start for ever.
        date_header=False,
        timeout_graceful_shutdown=2,
    )
