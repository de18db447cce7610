"""Reads and writes open media sockets directly, past their asyncio transports.

A transport takes a tenth of a call's CPU. Where `_native` is (it is compiled with the frame path,
and asks for Linux), an open socket without TLS is read and written by it; the transport opens and
closes the connection, and keeps what the kernel does not take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from gateway.connection_counters import ConnectionCounters
from gateway.limits.frame_budget import BudgetLimits, Standstill

if TYPE_CHECKING:
    from gateway.sockets._native import Owner, Poller

try:
    from gateway.sockets import _native
except ImportError:  # interpreted, or not Linux
    IS_AVAILABLE = False
else:
    IS_AVAILABLE = True
    # A name of the module's own is found at once where this is compiled.
    _send_data: Final = _native.send_data
    _send_frame: Final = _native.send_frame


def send_data(descriptor: int, data: bytes) -> bytes | None:
    """Write this; return what the kernel did not take of it."""
    return _send_data(descriptor, data)


def send_frame(descriptor: int, first: int, payload: bytes) -> bytes | None:
    """Write an unmasked frame with this first byte; return what the kernel did not take of it."""
    return _send_frame(descriptor, first, payload)


class DirectReader:
    """Reads sockets of the running loop; holds a descriptor of its own only while there are any."""

    def __init__(self, clock_ns: Callable[[], int], limits: BudgetLimits) -> None:
        self._clock_ns = clock_ns
        self._limits = limits
        self.standstill = Standstill(limits, clock_ns())
        """The standstill of this process, for everything that counts frames."""
        self._poller: Poller | None = None
        self._loop: Any = None  # uvloop's returns other things than it promises
        self._count = 0
        self._reads = 0
        self._is_paced = False

    def pace(self, paced: bool) -> None:
        """Read only when `read` is called (True), or whenever the loop finds something (False)."""
        self._is_paced = paced
        if self._poller is not None:
            self._watch(not paced)

    def read(self) -> bool:
        """Read every socket that has something, once; return whether there were no more."""
        if self._poller is None:
            return True
        read = self._poller.poll(self._look())
        self._reads += read
        # A full batch: there may be more than one `poll` reports.
        return read < _native.EVENTS_MAX

    def take_count(self) -> int:
        """Return how many times a socket was read since the last time."""
        reads, self._reads = self._reads, 0
        return reads

    def add(self, descriptor: int, owner: Owner, message_bytes_max: int) -> None:
        """Read this socket from now on; its transport is to pause reading.

        Raises:
            OSError: the kernel has no descriptor, or no watch, left for it.

        """
        if self._poller is None:
            limits = self._limits
            self._poller = _native.Poller(
                limits.frame_ns,
                limits.burst_frames,
                limits.excess_ns,
                limits.excess_frames_max,
            )
            self._loop = asyncio.get_running_loop()
            self._watch(not self._is_paced)
        self._poller.add(descriptor, owner, message_bytes_max)
        self._count += 1

    def remove(self, descriptor: int) -> None:
        """Stop reading this socket, which was added."""
        assert self._poller is not None
        self._poller.remove(descriptor)
        self._count -= 1
        # An epoll descriptor that watches nothing is given back: descriptors bound how many
        # connections the process can hold. It leaves the loop before its number can be used again.
        if not self._count:
            self._watch(False)
            self._poller.close()
            self._poller = self._loop = None

    def spend(self, descriptor: int, frames: int) -> int:
        """Count frames that the owner of this socket, which was added, took; return the verdict."""
        assert self._poller is not None
        return self._poller.spend(descriptor, self._look(), frames)

    def ask_again(self, descriptor: int) -> None:
        """Fetch the handlers of this socket, which was added, again: they have changed."""
        assert self._poller is not None
        self._poller.ask_again(descriptor)

    def take_counts(self, descriptor: int) -> tuple[int, int, int]:
        """Return messages and payload bytes read since the last time, and when the last came."""
        assert self._poller is not None
        return self._poller.take_counts(descriptor)

    def _look(self) -> int:
        """Return the time, having told the poller how long nothing was read before it."""
        assert self._poller is not None
        now_ns = self._clock_ns()
        excused_at_ns = self.standstill.look(now_ns)
        # Every read passes here, so that a standstill is noticed before the frames that piled up
        # during it are counted as excess.
        if excused_at_ns > now_ns:
            self._poller.excuse(excused_at_ns)
        return now_ns

    def _watch(self, watched: bool) -> None:
        assert self._poller is not None
        if watched:
            self._loop.add_reader(self._poller.fileno(), self.read)
        else:
            self._loop.remove_reader(self._poller.fileno())


class DirectReading:
    """The reading of one socket past its transport, while that is on."""

    __slots__ = ("_descriptor", "_reader", "is_on")

    def __init__(self, reader: DirectReader) -> None:
        self._reader = reader
        self._descriptor = -1
        self.is_on = False

    @property
    def standstill(self) -> Standstill:
        """How long this process read nothing."""
        return self._reader.standstill

    def begin(
        self,
        transport: asyncio.Transport,
        descriptor: int,
        owner: Owner,
        message_bytes_max: int,
    ) -> None:
        """Read in the transport's place; where the kernel refuses, the transport reads on."""
        try:
            self._reader.add(descriptor, owner, message_bytes_max)
        except OSError:
            return
        # Only now: while the poller lacks the socket, its transport has to read it.
        transport.pause_reading()
        self._descriptor = descriptor
        self.is_on = True

    def end(self, transport: asyncio.Transport, counters: ConnectionCounters) -> None:
        """Let the transport read from now on, as it does where this is not on."""
        if self.is_on:
            # Removing forgets what the slot has counted.
            self.take_counts(counters)
            self.is_on = False
            self._reader.remove(self._descriptor)
            if not transport.is_closing():
                transport.resume_reading()

    def ask_again(self) -> None:
        """Have the reader fetch the owner's handlers again: they have changed."""
        if self.is_on:
            self._reader.ask_again(self._descriptor)

    def spend(self, frames: int) -> int:
        """Count frames that the owner took instead of the reader; return the verdict."""
        return self._reader.spend(self._descriptor, frames)

    def take_counts(self, counters: ConnectionCounters) -> None:
        """Add what was read since the last time to the counters."""
        if self.is_on:
            messages, size, last_in_ns = self._reader.take_counts(self._descriptor)
            counters.messages_in += messages
            counters.bytes_in += size
            # Frames on the slow way set it too, and 0 is reported while there were none on this
            # one.
            counters.last_in_ns = max(counters.last_in_ns, last_in_ns)
