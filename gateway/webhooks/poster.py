"""Posts webhooks over HTTP, to public internet addresses only and with short time-outs.

The address is checked when its socket is created, so DNS rebinding and names with several addresses
open no way in. Only the status and one header of an answer are read.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import Any, Final

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.post.threads import in_thread
from gateway.webhooks.sender import TIMEOUT_S, ReceiverAnswer
from gateway.webhooks.target import Target, is_public

CONNECTIONS_MAX: Final = 128
"""Connections of one process, to all endpoints: as many as its lanes may use."""
LOOKUPS_MAX: Final = 16
"""Concurrent name look-ups, including those that no one waits for any more."""
HEAD_BYTES_MAX: Final = 8_190
"""Length of one line of a response head; a longer one is a failure."""
# Its number identifies it among the failures of several addresses, which arrive as one error.
_FORBIDDEN: Final = errno.EACCES


class SystemResolver(AbstractResolver):
    """Looks names up as the system does, in its own threads.

    The loop's threads also write the books: an unresponsive name server must not block them.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(LOOKUPS_MAX)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises OSError."""
        await self._slots.acquire()
        loop = asyncio.get_running_loop()

        def look_up() -> list[Any]:
            try:
                return socket.getaddrinfo(
                    host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
                )
            finally:
                # When the thread ends, not when its waiter gives up.
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._slots.release)

        found = await in_thread(look_up, "webhook name")
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Close nothing."""


def _guarded(info: Any) -> socket.socket:
    """Return a socket for a public internet address. Raises OSError for any other."""
    family, kind, proto, _, address = info
    if not is_public(str(address[0])):
        raise OSError(_FORBIDDEN, "forbidden address")
    return socket.socket(family, kind, proto)


class HttpPoster:
    """`webhooks.Poster` with aiohttp; opened on the running loop."""

    def __init__(
        self,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Take a resolver and trusted certificates, by default the system's."""
        names = resolver or SystemResolver()
        self._guarded = _session(names, tls, timeout_s, socket_factory=_guarded)
        self._trusted = _session(names, tls, timeout_s)
        """For hosts that the operator allows, at any address."""

    async def close(self) -> None:
        """Close all connections."""
        await self._guarded.close()
        await self._trusted.close()

    async def post(self, target: Target, headers: dict[str, str], body: bytes) -> ReceiverAnswer:
        """Post once; raises only if cancelled."""
        session = self._trusted if target.is_trusted else self._guarded
        try:
            url = yarl.URL(target.url)
            # Two parsers that read an address differently would open a way in.
            if (url.host or "").rstrip(".") != target.host:
                return ReceiverAnswer(None, failure="address form")
            reply = await session.post(url, data=body, headers=headers, allow_redirects=False)
            # The body is never read, because the receiver chooses its length and pace.
            reply.close()
            return ReceiverAnswer(reply.status, reply.headers.get("retry-after"))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # Our own word: the error's text contains the URL, and perhaps a password.
            return ReceiverAnswer(None, failure=_word_for(error))


def _session(
    names: AbstractResolver, tls: ssl.SSLContext | None, timeout_s: float, **options: Any
) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        resolver=names,
        # Each attempt resolves again: the answer of an hour ago is of no use.
        use_dns_cache=False,
        force_close=True,
        limit=CONNECTIONS_MAX,
        ssl=tls or ssl.create_default_context(),
        **options,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # No proxy and no password from the environment.
        trust_env=False,
        max_line_size=HEAD_BYTES_MAX,
        max_field_size=HEAD_BYTES_MAX,
    )


def _word_for(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorDNSError():
            return "name not found"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ClientConnectorError() if error.errno == _FORBIDDEN:
            return "address private"
        case aiohttp.ClientConnectionError() | OSError():
            return "connection"
        case _:
            return "no http"
