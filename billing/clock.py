"""Defines the wall clock in the form in which stores and periodic tasks take it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current date and time, with a time zone."""


def utc_now() -> datetime:
    """Return the wall clock: for display and retention, never for measuring."""
    return datetime.now(UTC)


def utc_text(at: datetime) -> str:
    """Return a time of UTC to its second as RFC 3339 writes it, with a Z."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
