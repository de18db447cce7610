"""Counts what the playout has done to one stream. Does not know why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PlayoutCounters:
    """Counters of one stream since it began."""

    frames_in: int = 0
    frames_out: int = 0
    """Frames sent to the carrier, whole or changed."""
    lost: int = 0
    """Frames whose turn passed before they arrived."""
    late: int = 0
    """Frames that arrived after their turn, including copies of frames that were played."""
    duplicate: int = 0
    """Copies of frames that were still waiting."""
    reset: int = 0
    """Restarts of the sequence by the sender."""
    underruns: int = 0
    """Times the carrier ran dry during a stream."""
    concealed_ms: int = 0
    shortened_ms: int = 0
    """Removed inaudibly."""
    stretched_ms: int = 0
    cut_ms: int = 0
    """Dropped because the delay passed the hard limit, or because other audio came first."""
    cleared_ms: int = 0
    """Dropped by the carrier when it was cleared, by the model."""
    waited_ms: int = 0
    """Silence before a start, made by waiting while the carrier had nothing to play."""
