"""Serves HTTP and media on one port: uvicorn answers requests, the engine takes media sockets over.

With a certificate the port speaks TLS; inside, everything is the same.

These parts of uvicorn's `Server` are relied on, and pinned by a test: `startup`, `main_loop`,
`shutdown`, `server_state`, `lifespan`, `should_exit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvicorn

from gateway.sockets.acceptor import Acceptor
from gateway.sockets.door import NodeDoor
from gateway.sockets.engine import MediaEngine
from gateway.sockets.front_protocol import FrontProtocol
from gateway.sockets.http_protocol import OnePortProtocol
from gateway.sockets.inbox import Inbox
from gateway.sockets.strangers import Stranger
from gateway.sockets.tls import ServerTls

_HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")
"""RFC 6797: browsers that were here once come by TLS only, for a year from their last visit."""

_CLOSE: Final = ("Connection", "close")


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where connections come from; by default from a listening socket of the process's own."""

    listener: socket.socket | None = None
    """One that was made before, and is listened on; the server closes it."""
    doors: Mapping[str, NodeDoor] = field(default_factory=dict)
    """Ways to the nodes of this machine that have no port, by node."""
    inbox: Path | None = None
    """Where such a node is handed its connections. It answers one request on each: the next might
    be for another process, which the one that accepts has to see."""

    def takes(self, node: str) -> bool:
        """Tell whether connections for a node arrive, as far as is known here."""
        door = self.doors.get(node)
        return door is None or door.is_open()


class OnePortServer(uvicorn.Server):
    """A uvicorn server that is started and stopped, instead of owning the process."""

    def __init__(
        self,
        config: uvicorn.Config,
        engine: MediaEngine,
        tls: ServerTls | None = None,
        entrance: Entrance | None = None,
    ) -> None:
        super().__init__(config)
        self._engine = engine
        self._tls = tls
        self._entrance = entrance or Entrance()
        self._listener = self._entrance.listener
        self._acceptor: Acceptor | Inbox | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; the one chosen by the kernel if 0 was asked for."""
        if self._listener is None:  # another process listens
            return int(self.config.port)
        return int(self._listener.getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: the process that composes the node handles them."""
        yield

    async def start(self) -> None:
        """Listen, and return once connections are accepted.

        Raises:
            OSError: the address cannot be bound.
            RuntimeError: the application refused to start.

        """
        config = self.config
        inbox = self._entrance.inbox
        if self._listener is None and inbox is None:
            host = config.host
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server(
                (host, config.port), family=family, backlog=config.backlog
            )
        if not config.loaded:
            config.load()
        self.lifespan = config.lifespan_class(config)
        try:
            # No sockets: uvicorn starts the application only. Connections are accepted by
            # `Acceptor`, which can count them before their TLS handshake.
            await self.startup(sockets=[])
        except SystemExit:  # uvicorn's word for a failed lifespan
            if self._listener is not None:
                self._listener.close()
            raise RuntimeError("the application refused to start") from None
        if inbox is not None:
            self._acceptor = Inbox(inbox, self._engine, self._new_protocol())
        elif self._listener is not None:
            self._listener.setblocking(False)
            self._acceptor = Acceptor(self._listener, self._engine, self._new_protocol(), self._tls)
        # It keeps the Date of responses right, and ends when `should_exit` is set.
        self._ticking = asyncio.create_task(self.main_loop())

    async def stop(self) -> None:
        """Stop listening, close what is open, and return when the application has shut down.

        Media sockets get a close frame at once and are dropped when the grace period ends.
        """
        if self._ticking is None or self._acceptor is None:
            return
        self.should_exit = True
        await self._ticking
        self._ticking = None
        # Before the connections are told to close, so that none is accepted after that.
        await self._acceptor.close()
        for door in self._entrance.doors.values():
            door.close()
        await self.shutdown(sockets=[])
        # uvicorn gives up waiting after the grace period but does not end connections that are not
        # its own protocol.
        self._engine.abort_all()

    def _new_protocol(self) -> Callable[..., OnePortProtocol]:
        """Return what makes the protocol of a stranger's connection, from what was read of it."""
        engine = self._engine
        doors = self._entrance.doors
        options = {
            "config": self.config,
            "server_state": self.server_state,
            "app_state": self.lifespan.state,
        }

        def make(stranger: Stranger, first: bytes = b"") -> OnePortProtocol:
            if doors:
                return FrontProtocol(doors, engine, stranger, first=first, **options)
            return OnePortProtocol(engine, stranger, first=first, **options)

        return make


def create_server(
    app: Any,
    *,
    engine: MediaEngine,
    host: str,
    port: int,
    tls: ServerTls | None = None,
    hsts: bool = False,
    entrance: Entrance | None = None,
    backlog: int = 4096,
    keep_alive_s: int = 30,
    grace_s: int = 10,
) -> OnePortServer:
    """Make the server of `app` and of the engine's media sockets; the event loop is the caller's.

    Args:
        app: An ASGI application.
        engine: Takes the media connections over; its sweep also bounds how slow a request may be,
            its proxies are also those whose X-Forwarded-For and -Proto hold for requests.
        host: Address to bind; an IPv6 one if it has a colon.
        port: Port to bind; 0 lets the kernel choose.
        tls: Certificate of the port; without one it speaks plain HTTP.
        hsts: Send HSTS without a certificate too: a proxy in front speaks TLS with browsers.
        entrance: Where connections come from, if not from that address.
        backlog: Connections the kernel keeps while they are not accepted.
        keep_alive_s: Seconds that an idle HTTP connection is kept.
        grace_s: Seconds that `stop` waits for responses and closing handshakes.

    """
    if hsts or tls is not None:
        engine.answer_fields.update([_HSTS])
    headers = [*engine.answer_fields.items()]
    if entrance is not None and entrance.inbox is not None:
        headers.append(_CLOSE)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        http="httptools",
        ws="none",
        interface="asgi3",
        lifespan="auto",
        log_config=None,
        access_log=False,
        proxy_headers=bool(engine.proxies.trusted),
        forwarded_allow_ips=list(engine.proxies.trusted),
        headers=headers,
        server_header=False,
        backlog=backlog,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=grace_s,
    )
    return OnePortServer(config, engine, tls, entrance)
