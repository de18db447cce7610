"""Explains why the server cannot listen on an address."""

from __future__ import annotations

import errno
import socket
from typing import Final, NamedTuple

from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE


class ListenRefusal(NamedTuple):
    """Why the server cannot listen on an address."""

    text: str
    exit_code: int
    """`EXIT_UNAVAILABLE` if another process has the port, else `EXIT_SETTINGS`."""


FREE_TO_USE_MIN: Final = 1024
"""First port that needs no privilege, by default on Linux."""


def refusal(host_name: str, port_name: str, address: str, error: OSError) -> ListenRefusal:
    """Return why the server cannot listen on an address, and what to do.

    `host_name` and `port_name` are the settings or options that chose it, `address` such as "TCP
    port 8080 of 127.0.0.1".
    """
    if error.errno == errno.EADDRINUSE:
        text = f"{address} is in use by another process. Choose another port, or end it."
        return ListenRefusal(f"{port_name}: {text}", EXIT_UNAVAILABLE)
    if error.errno == errno.EACCES:
        text = f"this user may not listen on {address}. Choose a port from {FREE_TO_USE_MIN} on."
        return ListenRefusal(f"{port_name}: {text}", EXIT_SETTINGS)
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return ListenRefusal(f"{host_name} is not an address of this machine.", EXIT_SETTINGS)
    text = f"{address} cannot be listened on ({error.strerror})."
    return ListenRefusal(f"{port_name}: {text}", EXIT_SETTINGS)
