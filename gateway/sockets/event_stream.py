"""Sends Server-Sent Events on a connection that an HTTP request was authorised for.

A viewer costs a socket and this object: no task, no request, no queue of its own. Texts are shared
by all receivers, and go out in pieces as the peer reads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import Final, cast

from gateway.ports import ANSWER_FIELDS

PIECE_BYTES: Final = 64 * 1024
"""What is handed to the kernel at a time: the transport copies what that does not take."""
INPUT_BYTES_MAX: Final = 4096
"""What a peer may send that has nothing to say any more."""

_FIELDS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    **ANSWER_FIELDS,
    # nginx passes on what comes, instead of collecting it.
    "X-Accel-Buffering": "no",
    # Its end is the end of the stream (RFC 9112, 6.3).
    "Connection": "close",
}
_HEAD: Final = "HTTP/1.1 200 OK\r\n" + "".join(f"{k}: {v}\r\n" for k, v in _FIELDS.items())


class EventStream(asyncio.Protocol):
    """One stream. `on_close` is called once, when its connection has ended."""

    __slots__ = (
        "_answer_fields",
        "_is_closing",
        "_is_paused",
        "_pieces",
        "_taken",
        "_transport",
        "handed_on",
        "on_close",
    )

    def __init__(self, answer_fields: Mapping[str, str] = MappingProxyType({})) -> None:
        """Make a stream whose answer has these fields too."""
        self._answer_fields = answer_fields
        self.on_close: Callable[[], None] = _nothing
        self.handed_on = 0
        """Pieces that were kept until the peer had read those before."""
        self._transport: asyncio.Transport | None = None
        self._pieces: deque[memoryview] | None = None
        """What is kept for a peer that does not read; most peers do."""
        self._taken = 0
        self._is_paused = self._is_closing = False

    @property
    def is_behind(self) -> bool:
        """Whether its peer has yet to read what it was sent."""
        # The last that it was sent lies in the transport, which waits for ever.
        return self._is_paused or self._pieces is not None or self._is_closing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the answer."""
        # uvloop's are transports in all but name.
        self._transport = transport = cast("asyncio.Transport", transport)
        # The protocol before may have paused it.
        transport.resume_reading()
        transport.set_write_buffer_limits(high=PIECE_BYTES)
        more = "".join(f"{name}: {value}\r\n" for name, value in self._answer_fields.items())
        transport.write(f"{_HEAD}{more}Date: {formatdate(usegmt=True)}\r\n\r\n".encode())

    def send(self, text: bytes) -> None:
        """Send a text; what the peer does not read is kept, but not copied."""
        if self._transport is None or self._transport.is_closing() or self._is_closing:
            return
        if len(text) <= PIECE_BYTES and not self.is_behind:
            self._transport.write(text)
            return
        view = memoryview(text)
        pieces = (view[begin : begin + PIECE_BYTES] for begin in range(0, len(view), PIECE_BYTES))
        if self._pieces is None:
            self._pieces = deque(pieces)
        else:
            self._pieces.extend(pieces)
        self._go_on()

    def close(self) -> None:
        """Close once all is read."""
        self._is_closing = True
        self._go_on()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def _go_on(self) -> None:
        transport = self._transport
        if transport is None:
            return
        while self._pieces and not self._is_paused:
            transport.write(self._pieces.popleft())
            self.handed_on += 1
        if not self._pieces:
            self._pieces = None
            if self._is_closing:
                transport.close()

    # What the transport calls.

    def pause_writing(self) -> None:
        """Keep what is sent, until the peer has read."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on with what is kept."""
        self._is_paused = False
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Drop what a peer sends; one that sends much is no reader of events."""
        self._taken += len(data)
        if self._taken > INPUT_BYTES_MAX:
            self.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let go of everything, and say so once."""
        self._transport = None
        self._pieces = None
        on_close, self.on_close = self.on_close, _nothing
        on_close()


def _nothing() -> None:
    pass
