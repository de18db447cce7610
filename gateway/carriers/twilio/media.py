"""Parses Twilio Media Streams messages, sans-I/O.

Source: Twilio, "Media Streams - WebSocket Messages". Twilio sends every field as a string except
`sampleRate` and `channels`; new fields may appear and are ignored. Only fields that are needed can
make a message invalid; others may be missing or of any type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.errors import PeerProtocolError
from gateway.unreadable import UNREADABLE

FRAME_MS = 20
"""Twilio sends 160 bytes of mu-law, 20 ms, in each media message."""
TIMESTAMP_DIGITS_MAX = 15
"""A float is exact to so many digits; the carrier's timestamps have ten at most."""
_NO_TIMESTAMP: Final = msgspec.Raw(b'""')
_INBOUND: Final = msgspec.Raw(b'"inbound"')
_NO_DETAIL: Final = msgspec.Raw(b"{}")


class Connected(msgspec.Struct, frozen=True, tag_field="event", tag="connected"):
    """First message on a socket; does not name a stream yet."""


class MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    """Encoding of the payloads."""

    encoding: str
    sample_rate: Any = None
    channels: Any = None


class StartDetail(msgspec.Struct, frozen=True, rename="camel"):
    """The stream's identity, and the call it belongs to."""

    account_sid: str
    stream_sid: str
    call_sid: str
    media_format: MediaFormat
    custom_parameters: dict[str, str] = {}


class StreamStart(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="start"):
    """The stream begins."""

    stream_sid: str
    start: StartDetail


# Two of these are made for each 20 ms of a call. They cannot be part of a cycle, so the
# collector need not follow them.
class MediaDetail(msgspec.Struct, frozen=True, gc=False):
    """One piece of audio."""

    payload: bytes
    """mu-law 8 kHz; base64 on the wire."""
    timestamp: msgspec.Raw = _NO_TIMESTAMP
    """Milliseconds since the stream began, as raw JSON: usually a string of digits."""
    track: msgspec.Raw = _INBOUND
    """Raw JSON: `inbound` is the phone's voice, `outbound` what is sent to the phone."""

    @property
    def is_inbound(self) -> bool:
        """Whether this is the phone's voice."""
        return self.track == _INBOUND

    @property
    def at_ms(self) -> int | None:
        """The timestamp as a number, sent as a number or as a string; None for anything else."""
        # Kept raw until here, so that an odd timestamp costs its time and not the audio with it.
        digits = bytes(self.timestamp).strip(b'"')
        is_time = digits.isdigit() and len(digits) <= TIMESTAMP_DIGITS_MAX
        return int(digits) if is_time else None


class Media(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="event", tag="media"):
    """Audio from the phone."""

    stream_sid: str
    media: MediaDetail


class DtmfDetail(msgspec.Struct, frozen=True):
    """One key pressed at the phone."""

    digit: str


class Dtmf(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="dtmf"):
    """A key was pressed at the phone."""

    stream_sid: str
    dtmf: DtmfDetail


class MarkDetail(msgspec.Struct, frozen=True):
    """The name we gave to a point in the audio."""

    name: str


class Mark(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="mark"):
    """Everything before a mark has been played or cleared."""

    stream_sid: str
    mark: MarkDetail


class Stop(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="stop"):
    """The stream has ended."""

    stream_sid: str
    stop: msgspec.Raw = _NO_DETAIL

    def contradicts(self, account_sid: str, call_sid: str) -> bool:
        """Whether it names another account or call than the start of its stream did."""
        try:
            named = _decode_members(self.stop)
        # A stop is an end even without details; only a name that differs speaks against it.
        except UNREADABLE:
            return False
        known = (("callSid", call_sid), ("accountSid", account_sid))
        return any(key in named and named[key] != _as_json(said) for key, said in known)


class Unknown(msgspec.Struct, frozen=True):
    """A message of a kind that this version does not know."""

    event: str


Message = Connected | StreamStart | Media | Dtmf | Mark | Stop

_decode_message: Callable[[bytes], Message] = msgspec.json.Decoder(Message).decode
_decode_unknown: Callable[[bytes], Unknown] = msgspec.json.Decoder(Unknown).decode
_decode_members: Callable[[bytes], dict[str, msgspec.Raw]] = msgspec.json.Decoder(
    dict[str, msgspec.Raw]
).decode
_KNOWN = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})


def _as_json(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


def parse(text: bytes) -> Message | Unknown:
    """Return the message. Raises PeerProtocolError if it is not one."""
    try:
        # The union first, since nearly every message is one of it; a second look tells a new kind
        # from a known one that is broken.
        return _decode_message(text)
    except UNREADABLE:
        return _parse_unknown(text)


def _parse_unknown(text: bytes) -> Unknown:
    try:
        unknown = _decode_unknown(text)
    except UNREADABLE:
        unknown = None
    if unknown is None or unknown.event in _KNOWN:
        raise PeerProtocolError("A Media Streams message could not be read.", close_code=1008)
    return unknown
