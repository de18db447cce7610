"""Speaks the carrier's end of one media WebSocket: bytes to messages, messages to bytes.

The protocol is websockets' sans-I/O core, so that every byte of the handshake is ours: real Twilio
sends no Origin, no subprotocol and no extensions. Sending is a plain call, for it happens fifty
times a second on every leg.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.uri import parse_uri

from simulators.carrier.errors import StreamError
from simulators.carrier.signing import SIGNATURE_HEADER

USER_AGENT: Final = "Twilio.TmeWs/1.0"
MESSAGE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Twilio documents no limit; the whole playout buffer in base64 is 6.4 MB."""
OPEN_TIMEOUT_S: Final = 5.0
LINGER_S: Final = 1.0
"""How long the other end may take to finish a close."""

_HANDSHAKE_ERROR: Final = 31920
_PROTOCOL_ERROR: Final = 1002


class SocketOwner(Protocol):
    """Receives what arrives on the socket."""

    def on_text(self, payload: bytes) -> None:
        """Take one complete text message."""

    def on_binary(self, payload: bytes) -> None:
        """Take one complete binary message."""

    def on_close(self, code: int) -> None:
        """Take the end, once; 1006 when the other end vanished without a close frame."""


class MediaSocket(asyncio.Protocol):
    """One WebSocket to the application."""

    def __init__(self, url: str, signature: str, owner: SocketOwner) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.protocol_error = False
        """Whether the other end broke RFC 6455."""
        self._url = url
        self._signature = signature
        self._owner = owner
        self._protocol = ClientProtocol(parse_uri(url), max_size=MESSAGE_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._parts_opcode = Opcode.TEXT
        self._closed = False

    # --- lifecycle -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake, with the headers of a real one in their order."""
        # uvloop's transports have the methods but not the class.
        self._transport = cast("asyncio.Transport", transport)
        headers = Headers()
        # By hand, for the library would add headers of its own.
        headers["Host"] = urlsplit(self._url).netloc.rpartition("@")[2]
        headers["User-Agent"] = USER_AGENT
        headers["Connection"] = "Upgrade"
        headers["Sec-WebSocket-Key"] = self._protocol.key
        headers["Sec-WebSocket-Version"] = "13"
        headers["Upgrade"] = "websocket"
        headers[SIGNATURE_HEADER] = self._signature
        self._protocol.send_request(Request(parse_uri(self._url).resource_name, headers))
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a code says enough
        """Report the end."""
        # Tells the protocol that nothing follows; the close code is 1006 unless a close frame came.
        self._protocol.receive_eof()
        # Without effect once the socket has opened.
        self._refuse(StreamError(_HANDSHAKE_ERROR, "closed during the handshake"))
        self._report_close(self._protocol.close_code or 1006)

    def send(self, text: bytes) -> None:
        """Send one text message; nothing happens once the socket is closing."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text)
            self._flush()

    def close(self, code: int = 1000) -> None:
        """Start the closing handshake and give the other end a moment to finish it."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
            self._flush()
        # Also where the closing handshake has begun already: its other half may never come.
        self._linger()

    def abort(self) -> None:
        """Drop the TCP connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the other end has not taken yet, beyond the kernel's buffers."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def set_reading(self, reading: bool) -> None:
        """Read from the socket, or leave it unread."""
        if self._transport is None or self._transport.is_closing():
            return
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # --- receiving -------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the protocol and hand on what came out."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._on_response()
            elif isinstance(event, Frame):
                self._on_frame(event)
        # Events make the protocol answer by itself: pongs, and the echo of a close.
        self._flush()
        if self._protocol.handshake_exc is not None:
            self._refuse(StreamError(_HANDSHAKE_ERROR, str(self._protocol.handshake_exc)))
            self.abort()
        elif (exc := self._protocol.parser_exc) is not None and not self.protocol_error:
            # An end of file in the middle of a frame is a lost connection, no breach of the
            # protocol.
            self.protocol_error = not isinstance(exc, EOFError)
            self._report_close(_PROTOCOL_ERROR)
            self._linger()

    def _on_response(self) -> None:
        if self._protocol.handshake_exc is None and not self.opened.done():
            self.opened.set_result(None)

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            received = self._protocol.close_rcvd
            self._report_close(1005 if received is None else received.code)
            self._linger()
        # Control frames may come between the parts of a message (RFC 6455, 5.4), which goes on
        # after them.
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._parts_opcode = frame.opcode
            self._parts.append(bytes(frame.data))
            if frame.fin:
                message = b"".join(self._parts)
                self._parts.clear()
                if self._parts_opcode is Opcode.TEXT:
                    self._owner.on_text(message)
                else:
                    self._owner.on_binary(message)

    # --- plumbing --------------------------------------------------------------------------

    def _flush(self) -> None:
        assert self._transport is not None, "connected"
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                # The protocol asks for a half-close; the transport closes once all is written.
                self._transport.close()

    def _linger(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)

    def _refuse(self, error: StreamError) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)

    def _report_close(self, code: int) -> None:
        if not self._closed:
            self._closed = True
            self._owner.on_close(code)


async def dial(
    url: str, signature: str, owner: SocketOwner, tls: ssl.SSLContext | None
) -> MediaSocket:
    """Open a media socket to a `wss://` URL.

    Args:
        url: as written in the TwiML; the signature is over exactly this.
        signature: value of X-Twilio-Signature.
        owner: receives what arrives, from the first byte after the handshake on.
        tls: trusts whom the server's certificate must be of; None for plain TCP to the same place.

    Raises:
        StreamError: 31901 timeout, 31902 refused, 31910 TLS, 31920 handshake.
    """
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    assert parts.hostname, "checked by twiml.check_stream"
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            transport, socket = await loop.create_connection(
                lambda: MediaSocket(url, signature, owner),
                parts.hostname,
                parts.port or 443,
                ssl=tls,
            )
            try:
                await asyncio.shield(socket.opened)
            except BaseException:
                # On cancellation as well: the call may be ended while the handshake is under way.
                transport.abort()
                raise
    # These three are kinds of OSError, so that the general case has to come last.
    except TimeoutError as error:
        raise StreamError(31901, "no answer to the handshake") from error
    except ssl.SSLError as error:
        raise StreamError(31910, "TLS failed") from error
    except ConnectionResetError as error:
        # A server that speaks no TLS closes the connection on a TLS greeting.
        code = _HANDSHAKE_ERROR if tls is None else 31910
        raise StreamError(code, "closed during the handshake") from error
    except OSError as error:
        raise StreamError(31902, "no connection") from error
    return socket
