"""Ends connections so that what was sent last arrives.

Knows no protocol above the transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


def _nobody() -> None:
    """Nobody waits for the end."""


class HalfClosing:
    """A transport that, when told to close, first closes the sending half only.

    Closing both with input unread would reset the connection, and could take our last words from
    the peer (RFC 9112, 9.6). Nothing is sent behind them.
    """

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self._on_close = on_close
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Tell whether nothing more can be sent."""
        return self._is_closing or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send this, if it comes in time."""
        if not self.is_closing():
            self._transport.write(data)

    def let_go(self) -> None:
        """Forget whom to tell: the connection is over."""
        self._on_close = _nobody

    def close(self) -> None:
        """Send what is written, and its end."""
        if self.is_closing():
            return
        self._is_closing = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:  # TLS reads on by itself until the peer has closed too
            self._transport.close()
        self._on_close()
