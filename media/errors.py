"""What can go wrong with audio. Silence and noise are audio; these are broken promises.

MediaError
├── FormatError   audio or digits that are not of the form that was agreed on
└── PacketError   a peer sent a packet that cannot be read
"""

from __future__ import annotations


class MediaError(Exception):
    """Root of the tree; `code` is stable and public."""

    code = "media_error"


class FormatError(MediaError):
    """Audio of a wrong size, or digits that no telephone has."""

    code = "bad_audio_format"


class PacketError(MediaError):
    """A packet that the peer had no right to send."""

    code = "bad_media_packet"
