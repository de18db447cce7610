"""Closes connections so that what was sent last still arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.sockets.addresses import own_of, peer_of


def _nobody() -> None:
    """Stand in for the callback of a connection that has ended."""


class HalfClosing:
    """A transport that, when told to close, first closes the sending half only.

    Closing both with input unread would reset the connection, and could take our last words from
    the peer (RFC 9112, 9.6). Nothing is sent behind them.
    """

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self._on_close = on_close
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        # uvicorn uses much of a transport; only what follows differs here.
        return getattr(self._transport, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows, but its socket; addresses are host and port alone."""
        # uvicorn asks each connection for both addresses, through the socket if it gets one. The
        # transport would keep them for all the time that the connection is a media socket.
        if name == "socket":
            return default
        if name in {"peername", "sockname"}:
            address = peer_of(self._transport) if name == "peername" else own_of(self._transport)
            return default if address is None else address[:2]
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether nothing more can be sent."""
        return self._is_closing or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send this, unless the sending half is closed already."""
        # An application may still be writing its answer. After `write_eof` a transport would
        # raise, and the application is not at fault.
        if not self.is_closing():
            self._transport.write(data)

    def release(self) -> None:
        """Release the callback: the connection has ended."""
        self._on_close = _nobody

    def close(self) -> None:
        """Send what has been written, then the end of the stream; later calls do nothing."""
        if self.is_closing():
            return
        self._is_closing = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:  # TLS reads on by itself until the peer has closed too
            self._transport.close()
        self._on_close()
