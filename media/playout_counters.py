"""Counts what the playout has done to one stream. Knows no reasons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PlayoutCounters:
    """What was done to one stream."""

    frames_in: int = 0
    frames_out: int = 0
    """Frames sent to the carrier, unchanged or changed."""
    lost: int = 0
    """Frames that had not arrived when they were due."""
    late: int = 0
    """Frames that arrived after they were due, including copies of played ones."""
    duplicate: int = 0
    """Copies of frames that were still held."""
    reset: int = 0
    """Times the sequence restarted by itself."""
    underruns: int = 0
    """Times the carrier ran dry in the middle of a stream."""
    concealed_ms: int = 0
    shortened_ms: int = 0
    """Removed inaudibly."""
    stretched_ms: int = 0
    cut_ms: int = 0
    """Removed because the delay was too long, or because other audio came first."""
    cleared_ms: int = 0
    """Taken back from the carrier, by the model."""
    waited_ms: int = 0
    """Silence before speech began, made by waiting while the carrier had nothing to play."""
