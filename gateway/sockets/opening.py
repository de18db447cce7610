"""Judges opening handshakes (RFC 6455, 4); the protocol library makes the response.

Who may connect is the router's decision; whether the request is a WebSocket handshake at all is the
library's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType

from websockets.exceptions import InvalidHeader, InvalidMessage
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from gateway.ports import ANSWER_FIELDS, Acceptance, HandshakeRequest, Refusal, Router

_HEAD_END = b"\r\n\r\n"
_VERSION_HEADER = "Sec-WebSocket-Version"
_WRONG_VERSION = Refusal(
    HTTPStatus.UPGRADE_REQUIRED,
    "This version of WebSocket is not supported.",
    # RFC 6455, 4.4: the versions that are; RFC 9110, 15.5.22: a 426 names the protocol.
    {_VERSION_HEADER: "13", "Upgrade": "websocket"},
)
_NO_ONE_HOST = Refusal(HTTPStatus.BAD_REQUEST, "The request must have one Host field.")


class HeaderMap(Mapping[str, str]):
    """Request headers by case-insensitive name; repeated ones joined by commas (RFC 9110, 5.3)."""

    __slots__ = ("_values",)

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in items:
            key = name.lower()
            earlier = self._values.get(key)
            self._values[key] = value if earlier is None else f"{earlier}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class OpeningHandshake:
    """Feeds the library a request head as it arrives, and nothing behind it.

    Feeding early lets the library refuse a malformed or overlong line at once; stopping at the
    blank line leaves it at a frame boundary, with pipelined frames still in our hands.
    """

    __slots__ = (
        "_answer_fields",
        "_head_bytes",
        "_head_bytes_max",
        "_protocol",
        "_tail",
        "last_words",
    )

    def __init__(
        self,
        protocol: ServerProtocol,
        head_bytes_max: int,
        answer_fields: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Bound the head to `head_bytes_max`; each refusal has `answer_fields`."""
        self._protocol = protocol
        self._answer_fields = answer_fields
        self._head_bytes = 0
        self._head_bytes_max = head_bytes_max
        self._tail = b""
        self.last_words = b""

    def receive(self, data: bytes) -> tuple[int, Request | None]:
        """Feed `data`; return how many bytes were taken, and the request once it is complete.

        A refusal, by the library or for size, is left in the protocol's outgoing data. The library
        ends what is not HTTP without a response; for that, `last_words` holds one.
        """
        # The blank line may be cut by the segments, so the last three bytes are searched
        # again.
        tail = self._tail
        end = (tail + data).find(_HEAD_END)
        taken = len(data) if end < 0 else end + len(_HEAD_END) - len(tail)
        # Only what belongs to the head counts: frames may follow it in the same segment.
        self._head_bytes += taken
        protocol = self._protocol
        if self._head_bytes > self._head_bytes_max:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            refusal = Refusal(status, "The handshake is too large.")
            protocol.send_response(self._refuse(refusal))
            return taken, None
        self._tail = (tail + data[:taken])[-(len(_HEAD_END) - 1) :]
        protocol.receive_data(data[:taken])
        events = protocol.events_received()
        # Nothing behind the head was fed, so there is no second event.
        request = events[0] if events else None
        if isinstance(protocol.handshake_exc, InvalidMessage):
            bad_request = self._refuse(Refusal(HTTPStatus.BAD_REQUEST, "This is no HTTP request."))
            self.last_words = bad_request.serialize()
        return taken, request if isinstance(request, Request) else None

    def _refuse(self, refusal: Refusal) -> Response:
        return with_fields(refuse(self._protocol, refusal), self._answer_fields)


def answer(
    protocol: ServerProtocol, request: Request, router: Router, peer: str
) -> tuple[Response, Acceptance | None]:
    """Return the response to a complete request, and the acceptance when it is a 101.

    The router sees only requests that are valid handshakes.
    """
    # RFC 9112, 3.2. The library does not look at it.
    if len(request.headers.get_all("Host")) != 1:
        return refuse(protocol, _NO_ONE_HOST), None
    response = protocol.accept(request)
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        # The library answers a version that it does not speak with 400; RFC 6455, 4.4 asks for 426.
        # One without the field at all is no handshake, and stays 400.
        fault = protocol.handshake_exc
        if isinstance(fault, InvalidHeader) and fault.name == _VERSION_HEADER and fault.value:
            return refuse(protocol, _WRONG_VERSION), None
        return with_fields(response, ANSWER_FIELDS), None
    path, _, query = request.path.partition("?")
    verdict = router(HandshakeRequest(path, query, HeaderMap(request.headers.raw_items()), peer))
    if isinstance(verdict, Acceptance):
        return response, verdict
    return refuse(protocol, verdict), None


def refuse(protocol: ServerProtocol, refusal: Refusal) -> Response:
    """Return the HTTP response that a refusal asks for: plain text, with its length, closing."""
    response = protocol.reject(refusal.status, f"{refusal.message}\n")
    return with_fields(response, {**ANSWER_FIELDS, **refusal.headers})


def with_fields(response: Response, fields: Mapping[str, str]) -> Response:
    """Return a response with these fields set."""
    for name, value in fields.items():
        response.headers[name] = value
    return response
