"""Says whether a node takes new calls, and how long those that run still have. Pure.

Which calls there are is not known here; time is read from the clock that is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.nanoseconds import SECOND_NS

NOTICE_S: Final = 3.0
"""How long others may send calls here that have not heard of a drain: what they know of a node is a
second old, and a call is begun within another one of getting its token."""


@dataclass(slots=True)
class Draining:
    """Begins with a node that takes calls."""

    clock_ns: Callable[[], int]
    is_draining: bool = field(default=False, init=False)
    """Whether no new calls are to be sent here."""
    _closed_ns: int = field(default=0, init=False)
    """From when on none is taken."""
    _ends_ns: int | None = field(default=None, init=False)
    """When calls that still run are ended; None unless the node stops."""

    def take_calls(self, takes: bool) -> bool:
        """Take new calls, or none until told otherwise; return whether that is so now.

        A node that stops takes none for good.
        """
        if self._ends_ns is None and takes is self.is_draining:
            self.is_draining = not takes
            self._closed_ns = self.clock_ns() + round(NOTICE_S * SECOND_NS)
        return takes is not self.is_draining

    def stop(self, timeout_s: float, notice_s: float) -> None:
        """Take no new calls once `notice_s` is over; those that run have `timeout_s`."""
        now_ns = self.clock_ns()
        self.is_draining, self._closed_ns = True, now_ns + round(notice_s * SECOND_NS)
        self._ends_ns = now_ns + round(timeout_s * SECOND_NS)

    @property
    def is_closed(self) -> bool:
        """Whether a new call is refused."""
        return self.is_draining and self.clock_ns() >= self._closed_ns

    @property
    def left_s(self) -> int | None:
        """How long running calls still have; None unless the node stops."""
        if self._ends_ns is None:
            return None
        return max(0, (self._ends_ns - self.clock_ns()) // SECOND_NS)
