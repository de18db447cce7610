"""Binds UDP sockets, and counts what the kernel has dropped at them."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Final

BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Requested from the kernel for each direction: a quarter of a second of 1,000 calls with 50
packets a second, at the 1,280 bytes the kernel counts for each. It grants what `net.core.rmem_max`
allows."""


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of a numeric address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def bind(family: socket.AddressFamily, host: str, port: int, *, is_fixed: bool) -> socket.socket:
    """Bind the host; if that fails and it is not fixed, all addresses.

    On a socket bound to all addresses the kernel chooses the source address of a reply, and
    browsers drop one that does not come from where they asked (RFC 8445, 7.2.5.2.1).
    """
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        if family == socket.AF_INET6:
            # Each family has a socket of its own on the same port; this one must not take IPv4 too.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            bound.bind((host, port))
        except OSError as error:
            # Behind a NAT the advertised address is not one of this machine, and cannot be bound.
            if is_fixed or error.errno != errno.EADDRNOTAVAIL:
                raise
            bound.bind(("", port))
    except OSError:
        bound.close()
        raise
    return bound


def drops(path: str, inodes: set[str]) -> int:
    """Sum the last column of the rows of our sockets (proc(5))."""
    try:
        rows = [row.split() for row in Path(path).read_text("ascii").splitlines()[1:]]
    except OSError:
        return 0
    return sum(int(row[-1]) for row in rows if row[9] in inodes)
