"""Handles one connection of the one port: HTTP by uvicorn, until a request asks for media.

The first bytes of each request decide. `GET /n/{node}/media/…` never reaches HTTP: the engine takes
the connection over as a `MediaSocket`, without an ASGI task or queue between a frame and its leg.
Everything else goes to the application, which has no WebSockets. Behind unanswered requests media
is asked for once they are answered, however the bytes were cut.

uvicorn offers no hook before its parser, and sets no time limit for what a peer does not send or
read. These parts of its `HttpToolsProtocol` are relied on, and pinned by a test:
`on_message_begin`, `on_url`, `on_header`, `on_headers_complete`, `on_body`, `on_message_complete`,
`on_response_complete`, `timeout_keep_alive_handler`, `_unset_keepalive_if_required`, `connections`,
`server_state`, `transport`, `parser`, `app`, `headers`, `scope`, `url`, `client`, `flow`,
`pipeline`, and `cycle` with its `keep_alive`, `disconnected`, `message_event`, `response_started`,
`response_complete`.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from http import HTTPStatus
from itertools import islice
from typing import Any, Final, cast

import httptools
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.limits.source import Source, source_of
from gateway.ports import ANSWER_FIELDS
from gateway.sockets.closing import (
    HEAD_END,
    TOO_LARGE,
    HalfClosing,
    plain_answer,
    with_fields,
    without_body,
)
from gateway.sockets.engine import MediaEngine
from gateway.sockets.strangers import Stranger
from gateway.sockets.stream import HAND_OVER

_PREFIX: Final = b"GET /n/"
_MEDIA: Final = b"/media/"
_MAY_BE_MEDIA: Final = re.compile(rb"GET /n/|(?:GET /n|GET /|GET |GET|GE|G)\Z")
"""Where a request for media may begin in what was received, its first bytes cut off included."""

_NODE_BYTES_MAX: Final = 64
_NODE_ENDS: Final = frozenset(b" ?#\r\n")

_HEAD_BYTES_MAX: Final = 32 * 1024
"""Size of a request's head. Apache and nginx allow about 8 KiB a line; llhttp has no bound."""

_PIPELINED_MAX: Final = 16
"""Requests that wait for the answer to another one; one more ends the connection after those.

Browsers and proxies send none before they have the answer to the last."""

_FRAMING_BYTES_MAX: Final = 16
"""Bytes of chunk headers and trailers allowed per byte of body, beyond 32 KiB."""


_PROBES: Final = (b"/healthz", b"/readyz", b"/metrics")
"""What machines beside this one ask for, past the proxy that visitors come through."""

_BAD_REQUEST: Final = plain_answer(HTTPStatus.BAD_REQUEST, "This is not a valid HTTP request.\n")

_LATE: Final = plain_answer(
    HTTPStatus.REQUEST_TIMEOUT, "The rest of the request did not come in time. Send it again.\n"
)

_TOO_MANY: Final = plain_answer(
    HTTPStatus.TOO_MANY_REQUESTS, "Too many requests come from your address. Wait a second.\n"
)

_FAULTY_BODY: Final = PlainTextResponse(
    "The body of the request is malformed.\n", 400, headers=ANSWER_FIELDS
)
_UPGRADE_WITH_BODY: Final = PlainTextResponse(
    "Only HTTP/1.1 is supported: a request with a body must not ask for an upgrade.\n",
    400,
    headers=ANSWER_FIELDS,
)


def is_media_request(head: bytes) -> bool | None:
    """Tell whether a request that begins with `head` asks for media; None when more is needed."""
    # A request may come byte by byte: it is undecided only while it could still become media, so
    # that HTTP is never kept waiting for bytes that need not come.
    if len(head) <= len(_PREFIX):
        return None if _PREFIX.startswith(head) else False
    if not head.startswith(_PREFIX):
        return False
    node_end = head.find(b"/", len(_PREFIX))
    node = head[len(_PREFIX) : node_end if node_end >= 0 else None]
    # Anything that ends a path segment, or a line, before `/media/` makes it another request.
    if len(node) > _NODE_BYTES_MAX or not _NODE_ENDS.isdisjoint(node):
        return False
    if node_end < 0:
        return None
    rest = head[node_end : node_end + len(_MEDIA)]
    if rest == _MEDIA:
        return bool(node)
    return None if _MEDIA.startswith(rest) else False


class OnePortProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which hands media connections to the engine and bounds its peer.

    It is strict about where a request ends. After the head of a request with Upgrade, or of a
    CONNECT, llhttp expects another protocol, but httptools goes on parsing HTTP. So such a request
    is the last one of its connection, and so is a malformed one.
    """

    may_be_elsewhere = _MAY_BE_MEDIA
    """Where a request that is not for HTTP here may begin."""

    def __init__(
        self, engine: MediaEngine, stranger: Stranger, *args: Any, first: bytes = b"", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._engine = engine
        self._stranger = stranger
        self._is_relayed = stranger.source is None
        self._raw: asyncio.Transport = None  # type: ignore[assignment]
        self._half_closing: HalfClosing
        self._ignores_input = False  # further input is dropped
        self._fault = _BAD_REQUEST  # what a request is answered that the parser gives up
        self._is_head_method = False  # the request that is being parsed: its answer has no body
        self._undecided = first  # such as what another process has read already
        self._between_requests = True
        self._is_expecting = True  # a head, which the engine has set a deadline
        self._in_body = False
        self._head_bytes = 0  # of the request being received; -1 from its body on
        self._head_tail = b""
        self._parsed_bytes = 0  # of the head that the parser has begun
        self._framing_bytes = 0  # beyond what the body of the request may need
        self._deadline_ns: int | None = None  # of a body, and of the peer's end
        self._unread_deadline_ns: int | None = None

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection over from the acceptor; the deadline of its first head runs."""
        self._raw = transport
        self._stranger.drop = transport.abort
        self._half_closing = HalfClosing(transport, self._half_closed)
        # uvicorn closes through this wrapper, so that its last answer is not lost with a reset.
        super().connection_made(self._half_closing)  # type: ignore[arg-type]
        self._engine.watched.add(self)
        if self._undecided:
            # In the next pass, when the transport reads; what it has read by then comes behind.
            self.loop.call_soon(self.data_received, b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the engine's watch."""
        self._engine.watched.discard(self)
        self._engine.strangers.leave(self._stranger)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._let_go()

    def data_received(self, data: bytes) -> None:
        """Give a media connection to the engine, anything else to uvicorn."""
        data = self._undecided + data
        self._undecided = b""
        if self._ignores_input or not data:
            return
        if self._between_requests:
            # The deadline of a head begins with its first byte, be it media or HTTP.
            self._expect_head()
        begin = 0
        # The parser does not say where a request ends: it is given what lies before each place
        # where one for media may begin. A body may hold many such places.
        for match in islice(self.may_be_elsewhere.finditer(data), _PIPELINED_MAX):
            start = match.start()
            if start > begin and not self._parse(data[begin:start]):
                return
            begin = start
            if self._between_requests and self._is_set_aside(data[begin:]):
                return
        self._parse(data[begin:])

    def _is_set_aside(self, data: bytes) -> bool:
        """Give a request for media to the engine, or keep what may be one until its turn."""
        media = is_media_request(data)
        if media is False:
            return False
        if self._is_responding():
            # Taken over now, the connection would leave the answer nowhere to go.
            self._undecided = data
            self.flow.pause_reading()
        elif media:
            self._give_away(data)
        else:
            self._unset_keepalive_if_required()
            self._undecided = data
        return True

    def pause_writing(self) -> None:
        """Wait for the peer to read, within a time limit."""
        super().pause_writing()
        self._engine.strangers.peer_due(self._stranger)
        # The answer stays in memory until the peer reads it, and it is the peer who has to act.
        self._unread_deadline_ns = self._engine.clock_ns() + self._engine.limits.unread_timeout_ns

    def resume_writing(self) -> None:
        """Go on with the response."""
        super().resume_writing()
        self._unread_deadline_ns = None
        if self._is_responding():
            self._engine.strangers.peer_done(self._stranger)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._between_requests = False
        self._parsed_bytes = 0
        self._expect_head()
        super().on_message_begin()
        self.scope["extensions"] = {HAND_OVER: self._give_to}  # type: ignore[dict-item]

    def on_url(self, url: bytes) -> None:
        """Note the address of a request, or a piece of it."""
        self._count_parsed(len(url))
        self._is_head_method = self.parser.get_method() == b"HEAD"
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note one field of a head, or of a trailer."""
        if not self._in_body:
            self._count_parsed(len(name) + len(value) + len(b":\r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the application begin; the answer to a connection's last request says `close`."""
        # An exception is the only way to stop the parser from within: httptools turns any into
        # HttpParserCallbackError, which `_parse` answers with `_fault`.
        if len(self.pipeline) >= _PIPELINED_MAX:
            raise OverflowError
        # RFC 9112, 3.2. HTTP/1.0 has no need of the field, and proxies ask for health by it.
        if self.parser.get_http_version() == "1.1" and not self._names_one_host():
            raise OverflowError
        if not self.url.startswith(_PROBES):
            self._note_peer()
        source = self._source()
        if source is not None and not self._engine.requests.take(
            source.address, self._engine.clock_ns()
        ):
            self._fault = _TOO_MANY
            raise OverflowError
        is_upgrade = self.parser.should_upgrade()
        # The cycle that is made below keeps `app`, and only that one request gets the refusal.
        app = self.app
        if is_upgrade and self._announces_body():  # which the parser does not give
            self.app = _UPGRADE_WITH_BODY
        try:
            super().on_headers_complete()
        finally:
            self.app = app
        # What follows may be parsed as another protocol by a relay in front of us.
        if is_upgrade:
            self.cycle.keep_alive = False
        self._head_complete()
        # Fields of a trailer must not be taken for the head's (RFC 9110, 6.5.1).
        self.headers = deque(maxlen=0)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Allow framing in proportion to the body that it carries."""
        # Chunks of one byte cost far more to parse than they carry, and llhttp bounds neither chunk
        # extensions nor trailers.
        self._framing_bytes -= _FRAMING_BYTES_MAX * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request, body included, has been received."""
        super().on_message_complete()
        self._between_requests = True
        self._is_head_method = False
        self._in_body = False
        self._deadline_ns = None
        self._head_bytes = self._framing_bytes = 0
        self._head_tail = b""
        if self._is_responding():
            self._engine.strangers.peer_done(self._stranger)

    # What the answer calls.

    def on_response_complete(self) -> None:
        """Wait for the next request, if it is not there yet."""
        super().on_response_complete()
        if self._in_body and not self.pipeline and self._deadline_ns is None:
            self._set_body_deadline()
        if not self._is_responding():
            self._engine.strangers.peer_due(self._stranger)
            self._set_head_deadline()
            # The proxy's next request may be another client's.
            if self._is_relayed:
                self._engine.strangers.rename(self._stranger, None)
            if self._undecided and not self.transport.is_closing():
                # Judged by itself: nothing may come behind it.
                self.loop.call_soon(self.data_received, b"")

    # What the server and its timers call; no input is on its way then that could reset the end.

    def shutdown(self) -> None:
        """Close now, or after the answer that is due."""
        if self._is_responding():
            super().shutdown()
        else:
            self._raw.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self._raw.close()

    def check(self, now_ns: int) -> None:
        """End a connection whose peer is late; uvicorn would wait for ever.

        A peer whose body is late gets a 408 (RFC 9110, 15.5.9), unless its answer has begun.
        """
        due_ns = self._deadline_ns
        unread_due_ns = self._unread_deadline_ns
        if due_ns is not None and self.transport.is_closing() and self._raw.get_write_buffer_size():
            # The end that the peer should answer has not left yet: an answer that it reads slowly
            # lies in front of it.
            due_ns += self._engine.limits.unread_timeout_ns
        is_late = due_ns is not None and now_ns >= due_ns
        is_unread = unread_due_ns is not None and now_ns >= unread_due_ns
        if is_late or is_unread:
            self._engine.counters.late += 1
            if self._in_body and not is_unread and not self._ignores_input:
                self._refuse(_LATE)
            else:
                self._raw.abort()

    # Our own.

    def _let_go(self) -> None:
        """Let go of what holds us: a full collection stops the audio of every call."""
        self._half_closing.release()
        self.pipeline.clear()
        self._undecided = b""
        self.cycle = None  # type: ignore[assignment]
        self.scope = None  # type: ignore[assignment]

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        if not self._is_expecting:
            self._is_expecting = True
            self._set_head_deadline()

    def _set_head_deadline(self) -> None:
        """Set the deadline of a head that has begun, once no answer is due before it."""
        # A pipelined head is not late while its sender waits for an answer of ours.
        if self._is_expecting and not self._is_responding():
            self._engine.strangers.set_deadline(self._stranger, self._engine.clock_ns())

    def _head_complete(self) -> None:
        engine = self._engine
        stranger = self._stranger
        self._is_expecting = False
        self._in_body = True
        # Behind another request nothing is read until that one is answered: the peer is not late.
        if not self.pipeline:
            self._set_body_deadline()
        engine.strangers.lift_deadline(stranger)
        # Silent since now: a peer that has sent a head is not the one that did nothing longest.
        if stranger.is_silent:
            engine.strangers.peer_due(stranger)

    def _set_body_deadline(self) -> None:
        # From the head on; begun again by each byte it would let a body drip for ever.
        engine = self._engine
        self._deadline_ns = engine.clock_ns() + engine.limits.request_timeout_ns

    def _note_peer(self) -> None:
        """Note from where a request or a handshake comes, or that a trusted proxy brings it."""
        if self._is_relayed:
            self._engine.peer.note_relayed()
        elif self.client is not None:
            self._engine.peer.note(self.client[0])

    def _source(self) -> Source | None:
        """Return the source of a request: the client that a trusted proxy names, else the peer."""
        if self._is_relayed:
            forwarded_for = b", ".join(
                value for name, value in self.headers if name == b"x-forwarded-for"
            )
            client = self._engine.proxies.client_of(forwarded_for.decode("latin-1"))
            # For each request, since a proxy sends those of many clients over one connection.
            if client is not None:
                self._engine.strangers.rename(self._stranger, source_of(client[0]))
        return self._stranger.source

    def _names_one_host(self) -> bool:
        return sum(name == b"host" for name, _ in self.headers) == 1

    def _announces_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
            for name, value in self.headers
        )

    def _is_head_within_bounds(self, data: bytes) -> bool:
        """Count the bytes of a head that is still open; answer 431 when it grows too large."""
        if self._head_bytes < 0:  # the body has begun
            return True
        # The blank line may be cut by the segments.
        seen = self._head_tail + data
        end = seen.find(HEAD_END)
        taken = len(seen) if end < 0 else end + len(HEAD_END)
        self._head_bytes += taken - len(self._head_tail)
        self._head_tail = seen[1 - len(HEAD_END) :]
        if self._head_bytes > _HEAD_BYTES_MAX:
            # Behind a request that is being answered a refusal would be taken for its answer.
            if self._is_responding():
                self._raw.abort()
            else:
                self._refuse(TOO_LARGE)
            return False
        if end >= 0:
            self._head_bytes = -1
        return True

    def _count_parsed(self, size: int) -> None:
        """Bound a head whose beginning came behind a request in one read, uncounted until here.

        Never counts more than was received.
        """
        self._parsed_bytes += size
        if self._parsed_bytes > _HEAD_BYTES_MAX:
            self._fault = TOO_LARGE
            raise OverflowError

    def _parse(self, data: bytes) -> bool:
        """Give bytes to the parser; return whether more may follow."""
        if not self._is_head_within_bounds(data):
            return False
        self._unset_keepalive_if_required()
        if self._in_body:
            self._framing_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ignores_input = True  # its answer closes the connection
        except httptools.HttpParserError:
            self._refuse(self._fault)
        else:
            if self._framing_bytes > _HEAD_BYTES_MAX:
                self._refuse(_BAD_REQUEST)
        return not self._ignores_input

    def _refuse(self, answer: bytes) -> None:
        """Take nothing more; send this answer if the faulty request has none and is next in turn.

        An answer in front of one that is due would be taken for that one.
        """
        self._ignores_input = True
        self._unset_keepalive_if_required()
        cycle = self.cycle
        if self._is_responding() and not self._in_body:  # an earlier request is: it comes first
            cycle.keep_alive = False
        elif self.pipeline:  # the request at fault waits for its turn
            self.pipeline[0] = (cycle, cast("Any", _FAULTY_BODY))
            cycle.keep_alive = False
        # Its answer has begun or is complete: a second one would be taken for that of a request
        # that a proxy has yet to send.
        elif self._in_body and (cycle.response_started or cycle.response_complete):
            self._raw.abort()
        else:
            answer = with_fields(answer, self._engine.answer_fields)
            self.transport.write(without_body(answer) if self._is_head_method else answer)
            self.transport.close()
            if self._in_body:  # the application waits for the rest of it
                cycle.disconnected = True
                cycle.message_event.set()

    def _half_closed(self) -> None:
        """Wait for the peer to end the connection; it may still be sending."""
        self._ignores_input = True
        self._deadline_ns = self._engine.clock_ns() + self._engine.limits.close_timeout_ns
        self._engine.strangers.lift_deadline(self._stranger)
        self._engine.strangers.peer_due(self._stranger)
        # uvicorn may have paused for a body that is not read; unread, the end would not be found.
        self.flow.resume_reading()

    def _give_to(self, successor: asyncio.Protocol) -> bool:
        """Let `successor` answer the request in hand, and have the connection from then on.

        For an application that returns then and sends nothing. False where the peer is gone, or
        another request is behind: its answer would have nowhere to go.
        """
        if self.cycle is None or self.cycle.disconnected or self.transport.is_closing():
            return False
        if self.pipeline or self._undecided or not self._between_requests:
            return False
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self._engine.watched.discard(self)
        # Whom the application lets have it, it has authorised.
        self._engine.strangers.leave(self._stranger)
        # So that uvicorn does not miss the answer.
        self.cycle.disconnected = True
        self._let_go()
        self.parser = None  # type: ignore[assignment]
        self._raw.set_protocol(successor)
        successor.connection_made(self._raw)
        return True

    def _give_away(self, data: bytes) -> None:
        self._note_peer()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self._engine.watched.discard(self)
        # It holds our methods, and would keep us alive until a full collection.
        self.parser = None  # type: ignore[assignment]
        self._engine.take_over(self._raw, data, self._stranger, self.server_state.connections)
