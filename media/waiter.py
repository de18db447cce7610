"""Base class of objects that wait for a deadline. Knows neither the audio nor who polls."""

from __future__ import annotations


class Waiter:
    """Waits until a deadline of its own, which it may move.

    A base class, not a protocol: each of hundreds is checked a hundred times a second, which costs
    compiled code nothing if it knows where the attributes are.
    """

    __slots__ = ("deadline_ns", "tick_ns")

    def __init__(self, deadline_ns: int, tick_ns: int) -> None:
        self.deadline_ns = deadline_ns
        """When it wants to be polled."""
        self.tick_ns = tick_ns
        """How much later it may be polled; urgent waiters allow little."""
