"""Units of the clock of all media times (nanoseconds), and the base of what has a deadline."""

from __future__ import annotations

from typing import Final

MS_NS: Final = 1_000_000
SECOND_NS: Final = 1_000 * MS_NS

NEVER_NS: Final = 1 << 62
"""A time later than any that is reached; `-NEVER_NS` is earlier than any."""


class Waiter:
    """Has a deadline at which it is to be polled, and moves it itself.

    A base class rather than a protocol: the ticker reads hundreds of deadlines a hundred times a
    second, and compiled code reads the attributes of a known class at fixed offsets.
    """

    __slots__ = ("deadline_ns", "tick_ns")

    def __init__(self, deadline_ns: int, tick_ns: int) -> None:
        self.deadline_ns = deadline_ns
        """When to poll."""
        self.tick_ns = tick_ns
        """How much later than that a poll may come."""
