"""Writes Media Streams messages as Twilio does, and reads the application's strictly.

Keys come in the order of real captures, compact; numbers are strings except `sampleRate` and
`channels`. A missing or an extra field is a violation (error 31951).
https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from simulators.carrier.errors import FrameError

INVALID_MESSAGE: Final = 31951
MALFORMED_MESSAGE: Final = 31950


# Extra fields are refused because Twilio refuses them: `track`, `chunk` and `timestamp` exist in
# its own direction only.
class _MediaBody(msgspec.Struct, forbid_unknown_fields=True):
    payload: str


class _MarkBody(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _Media(msgspec.Struct, tag_field="event", tag="media", forbid_unknown_fields=True):
    stream_sid: str = msgspec.field(name="streamSid")
    media: _MediaBody


class _Mark(msgspec.Struct, tag_field="event", tag="mark", forbid_unknown_fields=True):
    stream_sid: str = msgspec.field(name="streamSid")
    mark: _MarkBody


class _Clear(msgspec.Struct, tag_field="event", tag="clear", forbid_unknown_fields=True):
    stream_sid: str = msgspec.field(name="streamSid")


_DECODER: Final = msgspec.json.Decoder(_Media | _Mark | _Clear)


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio for the called party."""

    payload: bytes
    """Raw mu-law."""


@dataclass(frozen=True, slots=True)
class PlayoutMark:
    """Wants its name back when the audio before it has been heard."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Throws away what has not been heard."""


def parse(text: bytes, stream_sid: str) -> Audio | PlayoutMark | Clear:
    """Return the message in one WebSocket text.

    Raises:
        FrameError: 31951, for anything but exactly the three documented messages.
    """
    try:
        message = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameError(INVALID_MESSAGE, str(error)) from error
    if message.stream_sid != stream_sid:
        raise FrameError(INVALID_MESSAGE, "streamSid is not this stream's")
    if isinstance(message, _Media):
        return Audio(_decode(message.media.payload))
    if isinstance(message, _Mark):
        if not message.mark.name:
            raise FrameError(INVALID_MESSAGE, "mark.name is empty")
        return PlayoutMark(message.mark.name)
    return Clear()


def _decode(payload: str) -> bytes:
    try:
        # Without strict mode the decoder skips foreign characters, and broken audio would pass.
        audio = binascii.a2b_base64(payload, strict_mode=True)
    except ValueError as error:
        raise FrameError(INVALID_MESSAGE, "media.payload is not base64") from error
    if not audio:
        raise FrameError(INVALID_MESSAGE, "media.payload is empty")
    return audio


@dataclass(slots=True)
class MessageWriter:
    """Writes one stream's messages, in sequence."""

    account_sid: str
    call_sid: str
    stream_sid: str
    parameters: Mapping[str, str]
    """`customParameters` of the start message."""
    messages: int = 0
    """Sequence number of the last message."""
    chunks: int = 0
    """Number of the last media message."""
    _tail: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        """Prepare what every media message ends with."""
        # Everything behind the payload is the same in each media message of a stream.
        self._tail = f'"}},"streamSid":"{self.stream_sid}"}}'.encode()

    @staticmethod
    def connected() -> bytes:
        """Return the first message: it has neither a stream nor a number."""
        return b'{"event":"connected","protocol":"Call","version":"1.0.0"}'

    def start(self) -> bytes:
        """Return the start message, number 1 of the sequence."""
        body = {
            "accountSid": self.account_sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(self.parameters),
        }
        return _dump(
            {
                "event": "start",
                "sequenceNumber": self._number(),
                "start": body,
                "streamSid": self.stream_sid,
            }
        )

    def media(self, payload: bytes, timestamp_ms: int) -> bytes:
        """Return one audio message; templated, for it is written fifty times a second."""
        self.messages += 1
        self.chunks += 1
        # base64 holds nothing that JSON escapes, so it can be pasted in as it is.
        return (
            b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d",'
            b'"timestamp":"%d","payload":"%b%b'
            % (
                self.messages,
                self.chunks,
                timestamp_ms,
                binascii.b2a_base64(payload, newline=False),
                self._tail,
            )
        )

    def dtmf(self, digit: str) -> bytes:
        """Return the message for one key that the called party pressed."""
        return _dump(
            {
                "event": "dtmf",
                "streamSid": self.stream_sid,
                "sequenceNumber": self._number(),
                # Not `inbound`, as in media messages: Twilio spells it in two ways. The order of
                # dtmf and mark is that of the documentation, that of the others comes from
                # captures.
                "dtmf": {"track": "inbound_track", "digit": digit},
            }
        )

    def mark(self, name: str) -> bytes:
        """Return the echo of a mark."""
        return _dump(
            {
                "event": "mark",
                "sequenceNumber": self._number(),
                "streamSid": self.stream_sid,
                "mark": {"name": name},
            }
        )

    def stop(self) -> bytes:
        """Return the last message."""
        return _dump(
            {
                "event": "stop",
                "sequenceNumber": self._number(),
                "streamSid": self.stream_sid,
                "stop": {"accountSid": self.account_sid, "callSid": self.call_sid},
            }
        )

    def _number(self) -> str:
        self.messages += 1
        return str(self.messages)


def _dump(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
