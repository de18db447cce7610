"""Finds the addresses of a connection, and the client's behind a trusted proxy.

Addresses are read from the kernel, because a transport of uvloop caches those that it is asked for
as long as the connection lasts. The rule for proxies is uvicorn's, so that media and requests name
the same client: the last address in X-Forwarded-For that is not a trusted proxy's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, cast

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway.limits.source import host_of
from gateway.ports import Acceptance, HandshakeRequest, Refusal, Router


def peer_of(transport: asyncio.BaseTransport) -> tuple[Any, ...] | None:
    """Return the address of the peer; None where it is unknown."""
    return _asked(transport, "peername")


def own_of(transport: asyncio.BaseTransport) -> tuple[Any, ...] | None:
    """Return the address that the peer has connected to; None where it is unknown."""
    return _asked(transport, "sockname")


def _asked(transport: asyncio.BaseTransport, name: str) -> tuple[Any, ...] | None:
    address = None
    # The peer has gone already, or the connection is closed and its descriptor -1.
    with contextlib.suppress(OSError, ValueError):
        held = transport.get_extra_info("socket")
        if held is None:  # the kernel has none
            address = transport.get_extra_info(name)
        else:
            borrowed = socket.socket(fileno=held.fileno())
            try:
                address = borrowed.getpeername() if name == "peername" else borrowed.getsockname()
            finally:
                borrowed.detach()  # the transport closes it
    return address if isinstance(address, tuple) else None


class Proxies:
    """The proxies whose word counts; with none of them, nothing is believed."""

    def __init__(self, trusted: Sequence[str]) -> None:
        """Trust these addresses and networks."""
        self.trusted = tuple(trusted)
        self._hosts = (
            # Only its list of hosts is used, so it needs no application behind it.
            ProxyHeadersMiddleware(cast("Any", None), list(trusted)).trusted_hosts
            if trusted
            else None
        )

    def __contains__(self, host: str) -> bool:
        return self._hosts is not None and host in self._hosts

    def client_of(self, forwarded_for: str) -> tuple[str, int] | None:
        """Return the address and port that a trusted proxy names; the port is 0 if it names none.

        None where it is not an address that the proxy has seen, and so nothing to count or log.
        """
        if self._hosts is None or not forwarded_for:
            return None
        # A client can put entries of its own into this field, so what is found need not be an
        # address.
        host, port = self._hosts.get_trusted_client_address(forwarded_for)
        try:
            return str(ip_address(host)), port
        except ValueError:
            return None

    def wrap(self, router: Router) -> Router:
        """Wrap a router so that it sees the client of a trusted proxy instead of the proxy.

        Its acceptances carry the client's address too.
        """
        if self._hosts is None:
            return router

        def route(request: HandshakeRequest) -> Acceptance | Refusal:
            client = None
            if host_of(request.peer) in self:
                client = self.client_of(request.headers.get("x-forwarded-for", ""))
            # A proxy that names no readable address counts as the client itself.
            if client is None:
                return router(request)
            host, port = client
            peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            verdict = router(replace(request, peer=peer))
            return verdict if isinstance(verdict, Refusal) else replace(verdict, peer=peer)

        return route
