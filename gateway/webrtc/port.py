"""One bound UDP socket on an event loop: read as datagrams come, or in batches when many do.

To be woken for each datagram costs the kernel more than the datagram does. Beyond BUSY_DATAGRAMS
the socket is read once a millisecond instead, as network cards moderate their interrupts: 300 calls
then take about half the CPU, and wait a millisecond. Knows no session and what no datagram says.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

BUSY_DATAGRAMS: Final = 900
"""Between two calls of `judge`, a tenth of a second: 180 calls of 50 packets a second. With fewer
the loop has the time to be woken, and a packet need not wait."""
BATCH_S: Final = 0.001
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
        self._handle: asyncio.Handle | None = None
        """The next batch; None while the loop says when to read."""
        self._datagrams = 0
        self._is_busy = False
        self._loop.add_reader(bound, self._read_or_wait)

    def send(self, datagram: bytes, address: Any) -> bool:
        """Send a datagram now; return whether the kernel took it."""
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            return False
        return True

    def judge(self) -> None:
        """Choose how to read from how much has come since the last call."""
        self._is_busy = self._datagrams >= BUSY_DATAGRAMS
        self._datagrams = 0

    def close(self) -> None:
        """Read no more and free the port; more than once is once."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        elif self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read_or_wait(self) -> None:
        self._read()
        if self._is_busy and self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._handle = self._loop.call_later(BATCH_S, self._read_batch)

    def _read_batch(self) -> None:
        is_empty = self._read()
        if self._socket.fileno() < 0:
            return
        if not is_empty:
            self._handle = self._loop.call_soon(self._read_batch)
        elif self._is_busy:
            self._handle = self._loop.call_later(BATCH_S, self._read_batch)
        else:
            self._handle = None
            self._loop.add_reader(self._socket, self._read_or_wait)

    def _read(self) -> bool:
        """Take what has arrived, up to a batch; return whether no more was there."""
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
