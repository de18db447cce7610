"""One bound UDP socket on an event loop: read as datagrams come, or when it is told to.

Knows no session and what no datagram says.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

BATCH_DATAGRAMS_MAX: Final = 128
"""Read in a row; then the loop's other sockets have their turn."""


class Port:
    """Reads and writes datagrams; never waits, and keeps none."""

    def __init__(
        self, bound: socket.socket, bytes_max: int, take: Callable[[bytes, Any], None]
    ) -> None:
        """Read from now on, on the running loop.

        Args:
            bound: Not blocking; closed by `close`.
            bytes_max: Longer datagrams arrive cut to one byte more.
            take: Called with each datagram and the address it came from; must not raise.

        """
        self.name = bound.getsockname()
        self._socket = bound
        self._receive = bound.recvfrom
        self._bytes = bytes_max + 1
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._datagrams = 0
        self._loop.add_reader(bound, self.read)

    def send(self, datagram: bytes, address: Any) -> bool:
        """Send a datagram now; return whether the kernel took it."""
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            return False
        return True

    def pace(self, paced: bool) -> None:
        """Read when told to from now on, or when the loop finds something."""
        if self._socket.fileno() < 0:
            return
        if paced:
            self._loop.remove_reader(self._socket)
        else:
            self._loop.add_reader(self._socket, self.read)

    def take_count(self) -> int:
        """Return how many datagrams were read since the last time."""
        count, self._datagrams = self._datagrams, 0
        return count

    def close(self) -> None:
        """Read no more and free the port; more than once is once."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def read(self) -> bool:
        """Take what has come, up to a bound; return whether that was all."""
        receive, take, size = self._receive, self._take, self._bytes
        for count in range(BATCH_DATAGRAMS_MAX):
            try:
                datagram, address = receive(size)
            except BlockingIOError:
                self._datagrams += count
                return True
            except OSError:
                # What an earlier datagram of ours met (ICMP, told once), or `take` has closed us.
                if self._socket.fileno() < 0:
                    return True
            else:
                take(datagram, address)
        self._datagrams += BATCH_DATAGRAMS_MAX
        return False
