"""The wall clock, as stores and periodic work are given it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the time of day, with its zone."""


def utc_now() -> datetime:
    """Return the wall clock: for display and retention, never for measuring."""
    return datetime.now(UTC)
