"""Reads and writes one bound UDP socket on an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from gateway.webrtc import direct

if TYPE_CHECKING:
    from gateway.webrtc._native import Line, Reader

BATCH_DATAGRAMS_MAX: Final = 128
"""Datagrams read in a row; then the loop's other sockets get their turn."""


class UdpPort:
    """Reads and writes datagrams; never waits, and buffers none."""

    def __init__(
        self,
        bound: socket.socket,
        bytes_max: int,
        take: Callable[[bytes, Any], None],
        *,
        failed: Callable[[Exception], None],
        clock_ns: Callable[[], int],
    ) -> None:
        """Start reading on the running loop.

        Args:
            bound: Non-blocking socket; closed by `close`.
            bytes_max: Longer datagrams arrive cut to one byte more.
            take: Called with each datagram and its source address; must not raise.
            failed: Called with what a session raised for audio that was routed to it.
            clock_ns: Monotonic nanoseconds.

        """
        self.name = bound.getsockname()
        self._socket = bound
        self._receive = bound.recvfrom
        # One byte more than may be: one that is too long differs from one that just fits.
        self._bytes = bytes_max + 1
        self._take = take
        self._clock_ns = clock_ns
        self._reader = direct.make_reader(bound.fileno(), bytes_max, take, failed)
        self._loop = asyncio.get_running_loop()
        self._datagrams = 0
        self._loop.add_reader(bound, self.read)

    def route(self, address: Any, line: Line | None) -> None:
        """Let a line take the audio that comes from this address; None leaves it to `take`."""
        if self._reader is not None:
            self._reader.route(address, line)

    def aim(self, line: Line, address: Any) -> None:
        """Let a line send to this address by this port."""
        line.aim(self._socket.fileno(), address)

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
        """Read only when `read` is called (True), or whenever the loop finds data (False)."""
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
        if self._reader is not None:
            self._reader.close()
        self._socket.close()

    def read(self) -> bool:
        """Read what has arrived, up to a bound; return whether that was all."""
        if self._reader is not None:
            return self._read_directly(self._reader)
        receive = self._receive
        take = self._take
        size = self._bytes
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

    def _read_directly(self, reader: Reader) -> bool:
        for _ in range(0, BATCH_DATAGRAMS_MAX, direct.BATCH):
            count = reader.read(self._clock_ns())
            self._datagrams += count
            if count < direct.BATCH:
                return True
        return False
