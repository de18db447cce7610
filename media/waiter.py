"""Something that waits for audio. Knows neither whose audio nor who asks."""

from __future__ import annotations


class Waiter:
    """Waits until a time of its own, which it may move.

    A class to derive from, not a protocol: of hundreds each is looked at a hundred times a second,
    which costs a compiled reader nothing where it knows the attributes' places.
    """

    __slots__ = ("deadline_ns", "tick_ns")

    def __init__(self, deadline_ns: int, tick_ns: int) -> None:
        self.deadline_ns = deadline_ns
        """When it is to be asked."""
        self.tick_ns = tick_ns
        """How much later it may be asked; the urgent allow little."""
