"""Reads and writes one bound UDP socket on an event loop, at once or when told to.

Knows no session and does not interpret datagrams.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

BATCH_DATAGRAMS_MAX: Final = 128
"""Datagrams read in a row; then the loop's other sockets get their turn."""


class Port:
    """Reads and writes datagrams; never waits, and buffers none."""

    def __init__(
        self, bound: socket.socket, bytes_max: int, take: Callable[[bytes, Any], None]
    ) -> None:
        """Start reading on the running loop.

        Args:
            bound: Non-blocking socket; closed by `close`.
            bytes_max: Longer datagrams arrive cut to one byte more.
            take: Called with each datagram and its source address; must not raise.

        """
        self.name = bound.getsockname()
        self._socket = bound
        self._receive = bound.recvfrom
        # One byte more than may be: one that is too long differs from one that just fits.
        self._bytes = bytes_max + 1
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._datagrams = 0
        self._loop.add_reader(bound, self.read)

    def send(self, datagram: bytes, address: Any) -> bool:
        """Send a datagram now; return whether the kernel accepted it."""
        try:
            self._socket.sendto(datagram, address)
        # A full buffer, or an address that cannot be reached. It is not tried again: audio that
        # comes late is of no use, and checks and flights are repeated by their senders.
        except OSError:
            return False
        return True

    def pace(self, paced: bool) -> None:
        """Read only when told to (True), or whenever the loop finds data (False)."""
        if self._socket.fileno() < 0:
            return
        if paced:
            self._loop.remove_reader(self._socket)
        else:
            self._loop.add_reader(self._socket, self.read)

    def take_count(self) -> int:
        """Return how many datagrams were read since the last call."""
        count, self._datagrams = self._datagrams, 0
        return count

    def close(self) -> None:
        """Stop reading and free the port; repeating this is harmless."""
        # The loop finds a reader by its descriptor, which a closed socket no longer has.
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def read(self) -> bool:
        """Read what has arrived, up to a bound; return whether that was all."""
        receive, take, size = self._receive, self._take, self._bytes
        for count in range(BATCH_DATAGRAMS_MAX):
            try:
                datagram, address = receive(size)
            except BlockingIOError:
                self._datagrams += count
                return True
            except OSError:
                # An ICMP error about an earlier datagram, reported once; or `take` closed us.
                if self._socket.fileno() < 0:
                    return True
            else:
                take(datagram, address)
        self._datagrams += BATCH_DATAGRAMS_MAX
        return False
