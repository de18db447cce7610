"""Declares a viewer's connection, and how a request becomes one. Shapes only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

HAND_OVER: Final = "caller.hand_over"
"""The extension of an ASGI scope that hands an authorised connection to another protocol.

A function: the application calls it with an `asyncio.Protocol`, which then answers; if it returns
True, the application itself sends nothing."""


class Stream(Protocol):
    """The connection of a viewer."""

    on_close: Callable[[], None]
    """Called once, when it has ended."""
    handed_on: int
    """Increases whenever it has read a part of its backlog."""

    @property
    def is_behind(self) -> bool:
        """Whether it has yet to read what it was sent."""

    def send(self, text: bytes) -> None:
        """Send a text completely, however long that takes."""

    def close(self) -> None:
        """Close it once everything is read."""

    def abort(self) -> None:
        """Close it now."""
