"""Decides whether a node takes new calls, and how long the running ones still have.

The clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.nanoseconds import SECOND_NS

NOTICE_S: Final = 3.0
"""How long nodes that have not heard of a drain may still send calls here: what they know of a node
is up to a second old, and a call begins within another second of getting its token."""


@dataclass(slots=True)
class DrainState:
    """The drain state of one node; at first it takes calls."""

    clock_ns: Callable[[], int]
    is_draining: bool = field(default=False, init=False)
    """Whether no new calls are to be sent here."""
    _closed_ns: int = field(default=0, init=False)
    """From when on none is taken."""
    _ends_ns: int | None = field(default=None, init=False)
    """When calls that still run are ended; None unless the node stops."""

    def take_calls(self, takes: bool) -> bool:
        """Accept new calls, or stop until told otherwise; return whether the node now accepts them.

        A node that is stopping never accepts calls again.
        """
        if self._ends_ns is None and takes is self.is_draining:
            self.is_draining = not takes
            self._closed_ns = self.clock_ns() + round(NOTICE_S * SECOND_NS)
        return takes is not self.is_draining

    def stop(self, timeout_s: float, notice_s: float) -> None:
        """Stop accepting calls once `notice_s` has passed; running ones have `timeout_s`."""
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
