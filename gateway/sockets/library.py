"""Wraps the sans-I/O core of `websockets` for one media socket: RFC 6455 beside the fast path.

The core is made for the opening handshake, released after it, and made again once there is
something for it to judge, which few connections ever have: with what it remembers of the handshake
it takes 4 KB. It is always at a frame boundary. Fragmented messages are reassembled here, and text
is checked for valid UTF-8.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Sequence
from typing import Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

_new_decoder = codecs.getincrementaldecoder("utf-8")


def is_utf8(payload: bytes) -> bool:
    """Tell whether a complete text payload is valid UTF-8 (RFC 6455, 8.1)."""
    try:
        # Python's codec refuses what RFC 3629 forbids: surrogates and overlong forms.
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


class MessageAssembly:
    """Collects the data frames of one message at a time."""

    __slots__ = ("_decoder", "_parts", "_text", "in_progress")

    def __init__(self) -> None:
        self._parts = bytearray()
        self._text = False
        self._decoder = _new_decoder("strict")
        self.in_progress = False
        """True between a first fragment and the last one."""

    def add(self, frame: Frame) -> tuple[bool, bytes] | None:
        """Take the next data frame; return `(is_text, payload)` when it completes a message.

        Raises:
            UnicodeDecodeError: the text so far cannot become valid UTF-8.

        """
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self.in_progress = not frame.fin
        if self._text:
            # Incremental, so that a fault in an early fragment is not buffered to the end; a code
            # point may be cut by the fragment boundary (5.4).
            self._decoder.decode(frame.data, final=frame.fin)
        self._parts += frame.data
        if not frame.fin:
            return None
        payload = bytes(self._parts)
        self._parts.clear()
        return self._text, payload


# The library logs every frame at DEBUG and every connection at INFO. Payloads are audio and
# tokens, so they reach no log at any level of the process.
_log: Final = logging.getLogger("gateway.sockets.websockets")
_log.setLevel(logging.WARNING)

_REASON_BYTES_MAX: Final = 123
"""RFC 6455, 5.5: a control frame carries 125 bytes, two of them the close code."""


class Library:
    """The protocol core of one connection, and the fragmented message being received on it."""

    __slots__ = ("_assembly", "_message_bytes_max", "_protocol")

    def __init__(self, message_bytes_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._protocol: ServerProtocol | None = self._new(State.CONNECTING)
        self._assembly: MessageAssembly | None = None
        """Of the fragmented message that has begun and not ended."""

    @property
    def protocol(self) -> ServerProtocol:
        """The core; made again, for an open connection, where it was released."""
        if self._protocol is None:
            # It may begin as OPEN in mid-stream: it is given whole frames only, and what came
            # before were whole messages, of which it need not know anything.
            self._protocol = self._new(State.OPEN)
        return self._protocol

    def _new(self, state: State) -> ServerProtocol:
        return ServerProtocol(state=state, max_size=self._message_bytes_max, logger=_log)

    def rest(self) -> None:
        """Release the core of an open connection between messages; to be called now and then.

        A silent peer is pinged, and would else keep the core from its first ping on.
        """
        if self._protocol is not None and self._protocol.current_size is None:
            self.release()

    def release(self) -> None:
        """Forget the connection so far."""
        if self._protocol is not None:
            # Its parser's frame holds it, and it would live until a full collection.
            self._protocol.parser.close()
            self._protocol = None

    # What arrives.

    @property
    def fragment_bytes(self) -> int | None:
        """What it has seen of a fragmented message; None between messages."""
        # Without the library there are none: a frame that comes in pieces does not call for it.
        return None if self._protocol is None else self._protocol.current_size

    @property
    def is_within_message(self) -> bool:
        """Whether a fragmented message has begun and not ended, as far as it was delivered."""
        return self._assembly is not None

    def judge(self, frame: bytes) -> Sequence[Frame]:
        """Take one whole frame, or a faulty one; return those acceptable, but close frames.

        What it answers is ready to be sent.
        """
        protocol = self.protocol
        # Close frames are left out of what is returned: the library answers them by itself, and
        # `ready` has the answer and the end of the stream.
        protocol.receive_data(frame)
        return [
            event
            for event in protocol.events_received()
            if isinstance(event, Frame) and event.opcode is not Opcode.CLOSE
        ]

    def assemble(self, frame: Frame) -> tuple[bool, bytes] | None:
        """Take the next data frame; return `(is_text, payload)` when it completes a message.

        Raises UnicodeDecodeError.
        """
        if self._assembly is None:
            self._assembly = MessageAssembly()
        message = self._assembly.add(frame)
        if message is not None:
            self._assembly = None
        return message

    # What is to be sent.

    def ready(self) -> list[bytes]:
        """Return what is to be sent; an empty item is the end of the stream."""
        return self.protocol.data_to_send()

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; a reason longer than a close frame can carry is cut."""
        # Cut by bytes; `ignore` then drops what is left of a split character, since a reason must
        # be valid UTF-8 (RFC 6455, 5.5.1).
        fitting = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
        self.protocol.send_close(code, fitting)

    def fail(self, code: CloseCode, reason: str) -> None:
        """Fail the connection (RFC 6455, 7.1.7)."""
        self.protocol.fail(code, reason)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.protocol.send_ping(b"")

    # How it ended.

    @property
    def is_refused(self) -> bool:
        """Whether the opening handshake was refused."""
        # The library leaves CONNECTING with a 101 and with nothing else.
        return self.protocol.state is State.CONNECTING

    def close_code(self) -> int:
        """Return the code of a connection that has ended."""
        # A peer that closes properly names the code; in a failure it is the code that we sent.
        protocol = self.protocol
        close = protocol.close_rcvd if protocol.parser_exc is None else None
        close = close or protocol.close_sent
        return close.code if close else CloseCode.ABNORMAL_CLOSURE
