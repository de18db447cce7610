"""Asks the kernel for the addresses of a connection.

A transport of uvloop's keeps those that it is asked for as long as the connection lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any


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
