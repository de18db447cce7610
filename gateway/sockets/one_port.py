"""HTTP and media on one port: uvicorn serves the requests, the engine takes media connections over.

The port speaks TLS when it is given a certificate; what follows is the same inside.

Each request's first bytes decide. `GET /n/{node}/media/…` never reaches HTTP: the connection
changes its protocol to a `MediaSocket`, without an ASGI task or queue between a frame and its leg.
Everything else is the application's; it has no WebSockets, so another upgrade is an ordinary
request (RFC 9110, 7.8: a server may ignore Upgrade).

Knows no route and no leg. uvicorn offers no hook before its parser and no bound on TLS handshakes,
so that connections are accepted here. These parts of its `HttpToolsProtocol` are relied on, and
pinned by a test: `data_received`, `on_message_begin`, `on_message_complete`,
`_unset_keepalive_if_required`, `_unsupported_upgrade_warning`, `connections`, `server_state`,
`transport`, `parser`, `cycle`; and of its `Server`: `startup`, `main_loop`, `shutdown`, `servers`,
`lifespan`, `should_exit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Generator, Sequence
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.sockets.engine import MediaEngine
from gateway.sockets.limits import SECOND_NS
from gateway.sockets.tls import ServerTls

_PREFIX: Final = b"GET /n/"
_MEDIA: Final = b"/media/"
_HEAD_END: Final = b"\r\n\r\n"
_NODE_BYTES_MAX: Final = 64
_NODE_ENDS: Final = frozenset(b" ?#\r\n")

_HEAD_BYTES_MAX: Final = 32 * 1024
"""Size of a request's head. Apache and nginx allow about 8 KiB a line; llhttp has no bound."""

_HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")
"""RFC 6797: browsers that were here once come by TLS only, for a year from their last visit."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 26\r\n"
    b"Connection: close\r\n"
    b"\r\n"
    b"The request is too large.\n"
)


def is_media_request(head: bytes) -> bool | None:
    """Tell whether a request that begins with `head` asks for media; None when more is needed."""
    if len(head) <= len(_PREFIX):
        return None if _PREFIX.startswith(head) else False
    if not head.startswith(_PREFIX):
        return False
    node_end = head.find(b"/", len(_PREFIX))
    node = head[len(_PREFIX) : node_end if node_end >= 0 else None]
    if len(node) > _NODE_BYTES_MAX or not _NODE_ENDS.isdisjoint(node):
        return False
    if node_end < 0:
        return None
    rest = head[node_end : node_end + len(_MEDIA)]
    if rest == _MEDIA:
        return bool(node)
    return None if _MEDIA.startswith(rest) else False


class OnePortProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which gives media connections away and bounds request heads."""

    def __init__(self, engine: MediaEngine, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._engine = engine
        self._refused = False
        self._undecided = b""
        self._between_requests = True
        self._head_bytes = 0  # of the request being received; -1 from its body on
        self._head_tail = b""
        self._deadline_ns: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request."""
        super().connection_made(transport)
        self._engine.watched.add(self)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the engine's watch."""
        self._engine.watched.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Give a media connection to the engine, anything else to uvicorn."""
        if self._refused:
            return
        if self._deadline_ns is None:
            self._start_deadline()
        if self._between_requests and not self._is_responding():
            data = self._undecided + data
            self._undecided = b""
            media = is_media_request(data)
            if media:
                self._give_away(data)
                return
            if media is None:
                self._unset_keepalive_if_required()
                self._undecided = data
                return
        if self._is_head_within_bounds(data):
            super().data_received(data)

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._between_requests = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that the request, body included, has been received."""
        super().on_message_complete()
        self._between_requests = True
        self._deadline_ns = None
        self._head_bytes = 0
        self._head_tail = b""

    def check(self, now_ns: int) -> None:
        """Drop a connection whose request does not arrive; uvicorn would wait for ever."""
        if self._deadline_ns is not None and now_ns >= self._deadline_ns:
            self._engine.counters.late += 1
            self.transport.abort()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: an ignored upgrade is not worth a log line that anyone can cause."""

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_deadline(self) -> None:
        engine = self._engine
        self._deadline_ns = engine.clock_ns() + engine.limits.handshake_timeout_ns

    def _is_head_within_bounds(self, data: bytes) -> bool:
        """Count the bytes of a head that is still open; answer 431 when it grows too large."""
        if self._head_bytes < 0:  # the body has begun
            return True
        seen = self._head_tail + data
        end = seen.find(_HEAD_END)
        taken = len(seen) if end < 0 else end + len(_HEAD_END)
        self._head_bytes += taken - len(self._head_tail)
        self._head_tail = seen[1 - len(_HEAD_END) :]
        if self._head_bytes > _HEAD_BYTES_MAX:
            self._refuse_head()
            return False
        if end >= 0:
            self._head_bytes = -1
        return True

    def _refuse_head(self) -> None:
        self._refused = True
        self._unset_keepalive_if_required()
        if self._is_responding():  # an answer here would be taken for the one that is due
            self.transport.abort()
            return
        # Half-closed, not closed: unread input would reset the connection, and with it the answer.
        self.transport.write(_TOO_LARGE)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:  # TLS reads on by itself until the peer has closed too
            self.transport.close()

    def _give_away(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self._engine.watched.discard(self)
        # It holds our methods, and would keep us alive until a full collection.
        self.parser = None  # type: ignore[assignment]
        self._engine.take_over(self.transport, data, self.server_state.connections)


class OnePortServer(uvicorn.Server):
    """A uvicorn server that is started and stopped, instead of owning the process."""

    def __init__(
        self, config: uvicorn.Config, engine: MediaEngine, tls: ServerTls | None = None
    ) -> None:
        super().__init__(config)
        self._engine = engine
        self._tls = tls
        self._listener: socket.socket | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; the one chosen by the kernel if 0 was asked for."""
        assert self._listener is not None
        return int(self._listener.getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the caller."""
        yield

    async def start(self) -> None:
        """Listen, and return once connections are accepted.

        Raises:
            OSError: the address cannot be bound.
            RuntimeError: the application refused to start.

        """
        config = self.config
        host = config.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server(
            (host, config.port), family=family, backlog=config.backlog
        )
        if not config.loaded:
            config.load()
        self.lifespan = config.lifespan_class(config)
        try:
            await self.startup(sockets=[])
        except SystemExit:  # uvicorn's word for a failed lifespan
            self._listener.close()
            raise RuntimeError("the application refused to start") from None
        self.servers.append(await self._accept(self._listener))
        self._ticking = asyncio.create_task(self.main_loop())

    async def _accept(self, listener: socket.socket) -> asyncio.Server:
        """Accept connections; uvicorn would leave a TLS handshake a minute."""
        config, limits = self.config, self._engine.limits
        new_protocol = functools.partial(
            OnePortProtocol,
            self._engine,
            config=config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        if self._tls is None:
            return await loop.create_server(new_protocol, sock=listener, backlog=config.backlog)
        return await loop.create_server(
            new_protocol,
            sock=listener,
            backlog=config.backlog,
            ssl=self._tls.context,
            ssl_handshake_timeout=limits.handshake_timeout_ns / SECOND_NS,
            ssl_shutdown_timeout=limits.close_timeout_ns / SECOND_NS,
        )

    async def stop(self) -> None:
        """Stop listening, close what is open, and return when the application has shut down.

        Media sockets get a close frame at once and are dropped when the grace period ends.
        """
        if self._ticking is None or self._listener is None:
            return
        self.should_exit = True
        await self._ticking
        self._ticking = None
        await self.shutdown(sockets=[self._listener])
        self._engine.abort_all()


def create_server(
    app: Any,
    *,
    engine: MediaEngine,
    host: str,
    port: int,
    tls: ServerTls | None = None,
    trusted_proxies: Sequence[str] = (),
    backlog: int = 2048,
    connections_max: int | None = None,
    keep_alive_s: int = 30,
    grace_s: int = 10,
) -> OnePortServer:
    """Make the server of `app` and of the engine's media sockets; the event loop is the caller's.

    Args:
        app: An ASGI application.
        engine: Takes the media connections over; its sweep also bounds how slow a request may be.
        host: Address to bind; an IPv6 one if it has a colon.
        port: Port to bind; 0 lets the kernel choose.
        tls: Certificate of the port; without one it speaks plain HTTP.
        trusted_proxies: Addresses and networks whose X-Forwarded-For and -Proto hold for requests;
            for media it is the router's matter.
        backlog: Connections the kernel keeps while they are not accepted.
        connections_max: Connections of both kinds at which HTTP requests are answered 503.
        keep_alive_s: Seconds that an idle HTTP connection is kept.
        grace_s: Seconds that `stop` waits for responses and closing handshakes.

    """
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
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        headers=[] if tls is None else [_HSTS],
        server_header=False,
        limit_concurrency=connections_max,
        backlog=backlog,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=grace_s,
    )
    return OnePortServer(config, engine, tls)
