"""Implements the carrier leg on the WebSocket of one Twilio Media Stream.

Translates messages into calls on its listener, and audio into messages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from gateway.carriers.twilio import media
from gateway.carriers.twilio.media import Dtmf, Mark, Media, Stop, StreamStart
from gateway.carriers.twilio.outbound import Outbound
from gateway.connection_counters import ConnectionCounters
from gateway.errors import PeerProtocolError
from gateway.ports import CarrierListener, MediaConnection, StreamEnd

try:
    from gateway.carriers.twilio._native import audio_of
except ImportError:  # not compiled

    def audio_of(_text: bytes, _stream_sid: bytes, /) -> tuple[bytes, int] | None:
        """Return audio and time of a media message of this stream; None leaves it to the parser."""
        return None


# Compiled code finds a Final of this module without a dictionary lookup.
_audio_of: Final = audio_of


_UNREADABLE_CODES: Final = frozenset({1002, 1003, 1007, 1008, 1009})
"""Close codes of a peer, or of our own socket, that cannot accept what the other side sent (RFC
6455, 7.4.1): protocol error, unsupported data, invalid UTF-8, policy violation, message too big."""


class TwilioLeg:
    """One stream's socket. It waits for `start`, then carries one call's audio.

    `gateway.ports.CarrierLeg`.
    """

    __slots__ = (
        "_account_sid",
        "_bind",
        "_call_sid",
        "_connection",
        "_listener",
        "_outbound",
        "_sid",
        "_stopped",
        "on_audio",
        "on_mark",
        "stream_sid",
    )

    # What each message touches, in and out.
    _sid: bytes
    on_audio: Callable[[bytes, int | None], None]
    _connection: MediaConnection
    _outbound: Outbound

    def __init__(
        self,
        connection: MediaConnection,
        *,
        bind: Callable[[TwilioLeg, StreamStart], CarrierListener | None],
    ) -> None:
        self._connection = connection
        self._bind: Callable[[TwilioLeg, StreamStart], CarrierListener | None] = bind
        self._listener: CarrierListener | None = None
        self._stopped = False
        self._account_sid = self._call_sid = ""
        """Whose the stream is by its start, of which nothing else is kept."""
        self.stream_sid = ""
        self._sid = b""
        self._outbound = Outbound("")
        self.on_audio = _discard
        """Receives audio and the carrier's timestamp, in milliseconds since the stream began."""
        self.on_mark: Callable[[str], None] = _nobody
        connection.on_text = self._text_received
        connection.on_binary = self._binary_received
        connection.on_close = self._closed

    @property
    def counters(self) -> ConnectionCounters:
        """What the socket underneath has carried so far."""
        return self._connection.counters

    @property
    def is_started(self) -> bool:
        """Whether `start` was accepted."""
        return self._listener is not None

    def send_audio(self, payload: bytes) -> None:
        """Send a media message; dropped, oldest first, when the carrier does not read."""
        self._connection.send_audio_text(self._outbound.media(payload))

    def send_mark(self, name: str) -> None:
        """Ask for a mark to be returned once all audio before it has been played or cleared."""
        self._connection.send_text(self._outbound.mark(name))

    def clear(self) -> None:
        """Order all audio that has not been played yet to be discarded."""
        self._connection.send_text(self._outbound.clear())

    def close(self, code: int = 1000, reason: str = "call ended") -> None:
        """Start the closing handshake; messages that arrive from now on are discarded."""
        # First: an end that we ask for must not reach the listener as one of the carrier's.
        self.on_audio = _discard
        self._listener = None
        self._stopped = True
        self._connection.close(code, reason)

    def _text_received(self, payload: bytes) -> None:
        # Fifty times a second: the common form is read without a JSON parser.
        audio = _audio_of(payload, self._sid)
        if audio is not None:
            self.on_audio(*audio)
            return
        try:
            message = media.parse(payload)
            if isinstance(message, Media) and message.stream_sid == self.stream_sid:
                # `outbound` is what we sent, brought back: played to the caller it would be an
                # echo.
                if message.media.is_inbound:
                    self.on_audio(message.media.payload, message.media.at_ms)
            else:
                # Kinds that are not known here are passed over: Twilio may add some.
                self._control_received(message)
        except PeerProtocolError as error:
            self._refuse(error.close_code, "protocol error")

    def _control_received(self, message: media.Message | media.Unknown) -> None:
        if isinstance(message, StreamStart):
            self._started(message)
        elif isinstance(message, Media | Dtmf | Mark | Stop):
            if message.stream_sid != self.stream_sid:
                raise PeerProtocolError("A message of another stream.", close_code=1008)
            self._stream_message(message)

    def _started(self, message: StreamStart) -> None:
        detail = message.start
        # One start for each socket: a second one could move the audio of a call to another stream.
        is_ours = detail.media_format.encoding == "audio/x-mulaw" and not self.stream_sid
        if self._stopped or not is_ours or not message.stream_sid:
            raise PeerProtocolError("A stream that cannot start here.", close_code=1008)
        self.stream_sid = message.stream_sid
        # All streams of a carrier's account say the same: it is kept once.
        self._account_sid = sys.intern(detail.account_sid)
        self._call_sid = detail.call_sid
        self._sid = message.stream_sid.encode()
        self._outbound = Outbound(message.stream_sid)
        # By now the leg can send, and its listener may do so at once.
        listener = self._bind(self, message)
        # It is asked once; what it holds need not last as long as the stream.
        self._bind = _of_no_call
        if listener is None:
            raise PeerProtocolError("A stream of no call here.", close_code=1008)
        # `bind` may have closed this leg; a listener set now would never hear of the end.
        if not self._stopped:
            self._listener = listener

    def _stream_message(self, message: Media | Dtmf | Mark | Stop) -> None:
        # Before the start there is no call to notify, and after the end it has been notified.
        if self._listener is None:
            return
        if isinstance(message, Dtmf):
            self._listener.stream_digit(message.dtmf.digit)
        elif isinstance(message, Mark):
            self.on_mark(message.mark.name)
        elif isinstance(message, Stop):
            # An end is money: one that names another call must not stop the seconds of this one.
            if message.contradicts(self._account_sid, self._call_sid):
                raise PeerProtocolError("A stop of another call.", close_code=1008)
            self._end(StreamEnd.STOPPED)

    def _binary_received(self, _payload: bytes) -> None:
        """Refuse a binary message: Twilio sends text only."""
        self._refuse(1003, "text messages only")

    def _refuse(self, code: int, reason: str) -> None:
        """End the stream because of a message; the closing handshake may take its time."""
        self._connection.close(code, reason)
        # Not left to the peer's answer: many echo 1000, which reads as a callee who hung up.
        self._end(StreamEnd.UNREADABLE)

    def _closed(self, code: int) -> None:
        # Closed in order: the call is over at the carrier, whether its `stop` has come or not.
        if code == 1000:
            self._end(StreamEnd.STOPPED)
        else:
            self._end(StreamEnd.UNREADABLE if code in _UNREADABLE_CODES else StreamEnd.LOST)

    def _end(self, how: StreamEnd) -> None:
        # Taken out first, so that stop, close and refusal together report one end.
        listener, self._listener = self._listener, None
        self.on_audio = _discard
        if listener is not None:
            listener.stream_ended(how)


def _of_no_call(_leg: TwilioLeg, _start: StreamStart) -> None:
    """Take the place of a binding that has been made."""


def _discard(_payload: bytes, _at_ms: int | None) -> None:
    """Discard audio that no one should hear."""


def _nobody(_name: str) -> None:
    """Discard a mark that no one waits for."""
