"""Defines media's exceptions. Silence and noise are valid audio; these are violations.

MediaError
├── FormatError   - audio or digits that do not have the agreed form
└── PacketError   - a peer sent a packet that cannot be read
"""

from __future__ import annotations


class MediaError(Exception):
    """Base class; `code` is stable and public."""

    code = "media_error"


class FormatError(MediaError):
    """Audio of the wrong size, or digits that no telephone has."""

    code = "bad_audio_format"


class PacketError(MediaError):
    """A packet that the peer must not send."""

    code = "bad_media_packet"
