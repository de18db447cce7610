"""Counts what one media connection has carried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ConnectionCounters:
    """What one media connection has carried so far; read by statistics, watchdogs and tests."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    """Payload bytes received, frame headers not counted."""
    bytes_out: int = 0
    audio_dropped: int = 0
    """Audio messages discarded because the peer did not read."""
    last_in_ns: int = 0
    """Monotonic time of the last message from the peer."""
