"""Opens TCP connections of this process to itself, for legs without a server between them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

HOST = "127.0.0.1"


def listen(*, backlog: int = 4096) -> socket.socket:
    """Return a socket that listens on a free port of the loopback interface."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((HOST, 0))
    listener.listen(backlog)
    return listener


def port_of(listener: socket.socket) -> int:
    """Return the port a socket listens on."""
    port: int = listener.getsockname()[1]
    return port


def connect(port: int, *, timeout_s: float = 10.0) -> socket.socket:
    """Connect, without Nagle's delay: a frame leaves when it is written."""
    connection = socket.create_connection((HOST, port), timeout=timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def accept(listener: socket.socket, *, timeout_s: float = 10.0) -> socket.socket:
    """Accept one connection, without Nagle's delay."""
    listener.settimeout(timeout_s)
    connection, _ = listener.accept()
    connection.settimeout(timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextmanager
def closed_on_error(connection: socket.socket) -> Iterator[socket.socket]:
    """Close the connection if the block fails; otherwise its next owner closes it."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of one TCP connection."""
    with closing(listen(backlog=1)) as listener:
        # The kernel completes the handshake within the backlog, so that one thread can do both.
        return connect(port_of(listener)), accept(listener)


def free_port() -> int:
    """Return a port that nothing listens on at this moment."""
    # For servers that have to be given a number; another process may still take it first.
    with closing(listen(backlog=1)) as listener:
        return port_of(listener)
