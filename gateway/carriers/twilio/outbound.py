"""Builds messages to a Twilio Media Stream, sans-I/O.

Source: Twilio, "Media Streams - WebSocket Messages". A missing or extra field is a protocol
violation there (warning 31951).
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final

import msgspec

try:
    from gateway.carriers.twilio._native import media_message
except ImportError:  # not compiled

    def media_message(prefix: bytes, audio: bytes, /) -> bytes:
        """Return the prefix, the audio in base64, and what ends the message."""
        return prefix + b2a_base64(audio, newline=False) + b'"}}'


# Compiled code finds a Final of this module without a dictionary lookup.
_media_message: Final = media_message


class Outbound:
    """Builds the messages of one stream; what each frame begins with is encoded once."""

    __slots__ = ("_media_prefix", "_stream_sid")

    def __init__(self, stream_sid: str) -> None:
        self._stream_sid = stream_sid
        self._media_prefix = b'{"event":"media",' + self._stream() + b',"media":{"payload":"'

    def media(self, payload: bytes) -> bytes:
        """Return a media message with mu-law audio of any length."""
        return _media_message(self._media_prefix, payload)

    def mark(self, name: str) -> bytes:
        """Return a mark message; it is returned once the audio before it is played or cleared."""
        encoded = msgspec.json.encode(name)
        return b'{"event":"mark",' + self._stream() + b',"mark":{"name":' + encoded + b"}}"

    def clear(self) -> bytes:
        """Return the order to discard all audio not played yet; pending marks are returned."""
        return b'{"event":"clear",' + self._stream() + b"}"

    def _stream(self) -> bytes:
        return b'"streamSid":' + msgspec.json.encode(self._stream_sid)
