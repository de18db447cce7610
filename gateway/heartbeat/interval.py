"""Calls a function at intervals shorter than an event loop's own timers can measure.

uvloop counts whole milliseconds. Linux has timers that are file descriptors, timerfd_create(2),
which any loop can watch like a socket; Python has them from 3.13 on, the C library always.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Final

from gateway.nanoseconds import SECOND_NS

_CLOCK_MONOTONIC: Final = 1
"""As defined in `linux/time.h`."""
_COUNT_BYTES: Final = 8
"""Read from a timer: how often it has fired since the last read."""


class _Times(ctypes.Structure):
    """`struct itimerspec`: the period, and the time to the first expiry."""

    _fields_ = (
        ("period_s", ctypes.c_long),
        ("period_ns", ctypes.c_long),
        ("first_s", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    )


class LoopInterval:
    """Calls a function repeatedly; several missed periods make one call."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._handle: asyncio.TimerHandle | None = None

    def start(self, period_ns: int, action: Callable[[], None]) -> None:
        """Call the function once a period from now on, on the running loop.

        Raises:
            OSError: The kernel has no file descriptor left for it.

        """
        self.stop()
        loop = asyncio.get_running_loop()
        if sys.platform != "linux":
            self._wait(period_ns / SECOND_NS, action)
            return
        self._descriptor = descriptor = _make_timer(period_ns)

        def fire() -> None:
            # Reading takes all expirations together and clears the descriptor: the loop watches it
            # level-triggered.
            try:
                os.read(descriptor, _COUNT_BYTES)
            except BlockingIOError:
                return
            action()

        loop.add_reader(descriptor, fire)

    def stop(self) -> None:
        """Stop calling; repeating this is harmless."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._descriptor >= 0:
            # Before it is closed: its number may belong to another file a moment later.
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _wait(self, period_s: float, action: Callable[[], None]) -> None:
        def fire() -> None:
            # Armed before the action, which may stop it.
            self._wait(period_s, action)
            action()

        self._handle = asyncio.get_running_loop().call_later(period_s, fire)


def _make_timer(period_ns: int) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    descriptor: int = library.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    seconds, nanoseconds = divmod(period_ns, SECOND_NS)
    # A first expiry of zero would disarm the timer instead of firing at once.
    times = _Times(seconds, nanoseconds, seconds, nanoseconds)
    if library.timerfd_settime(descriptor, 0, ctypes.byref(times), None) < 0:
        os.close(descriptor)
        raise OSError(ctypes.get_errno(), "timerfd_settime")
    return descriptor
