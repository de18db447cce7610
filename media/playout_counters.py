"""What the playout model has done to one stream, in figures. Knows not why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PlayoutCounters:
    """What has been done to one stream."""

    frames_in: int = 0
    frames_out: int = 0
    """Frames that the carrier was given, whole or changed."""
    lost: int = 0
    """Frames whose turn passed before they came."""
    late: int = 0
    """Frames that came after their turn, copies of played ones among them."""
    duplicate: int = 0
    """Copies of frames that still waited."""
    reset: int = 0
    """Times the sequence began anew by itself."""
    underruns: int = 0
    """Times the carrier ran dry in the midst of a stream."""
    concealed_ms: int = 0
    shortened_ms: int = 0
    """Removed so that nobody hears it."""
    stretched_ms: int = 0
    cut_ms: int = 0
    """Removed because the delay was beyond bearing, or because other audio came first."""
    cleared_ms: int = 0
    """Taken back from the carrier, by the model."""
    waited_ms: int = 0
    """Silence before speech that began, made by waiting while the carrier had nothing to play."""
