"""Counts what has happened to the media sockets of an engine, for statistics and tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class EngineCounters:
    """Counts since the engine was made."""

    opened: int = 0
    refused: int = 0
    """Opening handshakes not answered by 101."""
    late: int = 0
    """Connections dropped because a handshake or an HTTP request did not arrive in time."""
    floods: int = 0
    """Connections closed for too many frames."""
    excess_frames: int = 0
    """Frames dropped because their peer sent more than it may."""
    stalled: int = 0
    """Connections aborted with too much control text waiting."""
    unanswered: int = 0
    """Connections aborted for an unanswered ping."""
    rejected: int = 0
    """Connections reset because their source makes too many."""
    handler_faults: int = 0
    """Exceptions from a leg's callables or the router."""
