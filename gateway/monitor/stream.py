"""Declares what a viewer's connection is, and how a request becomes one. Shapes only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

HAND_OVER: Final = "caller.hand_over"
"""The extension of an ASGI scope that gives an authorised connection to another protocol.

A function: the application calls it with an `asyncio.Protocol`, which then answers, and sends
nothing itself where that returns True."""


class Stream(Protocol):
    """The connection of a viewer."""

    on_close: Callable[[], None]
    """Called once, when it has ended."""
    handed_on: int
    """Grows whenever it has read a part of what it was behind with."""

    @property
    def is_behind(self) -> bool:
        """Whether it has yet to read what it was sent."""

    def send(self, text: bytes) -> None:
        """Send a text whole, however long that takes."""

    def close(self) -> None:
        """Close it once all is read."""

    def abort(self) -> None:
        """Close it now."""
