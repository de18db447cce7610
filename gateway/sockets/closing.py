"""Closes connections so that what was sent last still arrives, and writes final plain answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from gateway.ports import ANSWER_FIELDS
from gateway.sockets.addresses import own_of, peer_of


def _no_callback() -> None:
    """Stand in for the callback of a connection that has ended."""


class HalfClosing:
    """A transport whose `close` first closes the sending half only.

    Closing both with input unread would reset the connection, and could take our last words from
    the peer (RFC 9112, 9.6). Nothing is sent behind them.
    """

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self._on_close = on_close
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        # uvicorn uses much of a transport; only what follows differs here.
        return getattr(self._transport, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows, but its socket; addresses are host and port alone."""
        # uvicorn asks each connection for both addresses, through the socket if it gets one. The
        # transport would keep them for all the time that the connection is a media socket.
        if name == "socket":
            return default
        if name in {"peername", "sockname"}:
            address = peer_of(self._transport) if name == "peername" else own_of(self._transport)
            return default if address is None else address[:2]
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether nothing more can be sent."""
        return self._is_closing or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send this, unless the sending half is closed already."""
        # An application may still be writing its answer. After `write_eof` a transport would
        # raise, and the application is not at fault.
        if not self.is_closing():
            self._transport.write(data)

    def release(self) -> None:
        """Release the callback: the connection has ended."""
        self._on_close = _no_callback

    def close(self) -> None:
        """Send what has been written, then the end of the stream; later calls do nothing."""
        if self.is_closing():
            return
        self._is_closing = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:  # TLS reads on by itself until the peer has closed too
            self._transport.close()
        self._on_close()


HEAD_END: Final = b"\r\n\r\n"
_NO_FIELDS: Final[Mapping[str, str]] = {}
_FIELDS: Final = "".join(f"{name}: {value}\r\n" for name, value in ANSWER_FIELDS.items())


def plain_answer(status: HTTPStatus, text: str, fields: Mapping[str, str] = _NO_FIELDS) -> bytes:
    """Write a response that ends its connection."""
    more = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text)}\r\n"
        "Connection: close\r\n"
        f"{_FIELDS}{more}"
        "\r\n"
        f"{text}"
    ).encode()


def with_fields(answer: bytes, fields: Mapping[str, str]) -> bytes:
    """Return an answer with these fields too."""
    more = "".join(f"\r\n{name}: {value}" for name, value in fields.items())
    return answer.replace(HEAD_END, more.encode() + HEAD_END, 1)


def without_body(answer: bytes) -> bytes:
    """Return what HEAD is answered: the head that GET would get (RFC 9110, 9.3.2)."""
    return answer[: answer.index(HEAD_END) + len(HEAD_END)]


TOO_LARGE: Final = plain_answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too large.\n"
)
