"""Holds the log level of a process: its setting, or another one for a while.

Kept in memory only, so a restarted process has its setting. Clock and timer are passed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)


class Timer(Protocol):
    """A pending call."""

    def cancel(self) -> None:
        """Cancel the call."""


class NodeLogLevel:
    """The level of this process's own log lines."""

    def __init__(
        self,
        setting: str,
        apply: Callable[[str], None],
        call_later: Callable[[float, Callable[[], None]], Timer],
        clock: Callable[[], datetime],
    ) -> None:
        """Begin with the setting, which is already in force."""
        self._setting = setting
        self._apply = apply
        self._call_later = call_later
        self._clock = clock
        self._timer: Timer | None = None
        self.level = setting
        """Name of the lowest level that is logged, such as `info`."""
        self.until: datetime | None = None
        """When the setting applies again; None while it does."""

    def set_for(self, level: str, minutes: int) -> None:
        """Log from another level on, for this many minutes; replaces any earlier change."""
        length = timedelta(minutes=minutes)
        self._change(level, self._clock() + length)
        self._timer = self._call_later(length.total_seconds(), self.restore)

    def restore(self) -> None:
        """Apply the setting again."""
        self._change(self._setting, None)

    def _change(self, level: str, until: datetime | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        severity = logging.getLevelNamesMapping()
        is_quieter = severity[level.upper()] > severity[self.level.upper()]
        # Logged while the more verbose level is in force.
        if is_quieter:
            log.info("log level changed", log_level=level)
        self._apply(level)
        if not is_quieter:
            log.info("log level changed", log_level=level)
        self.level = level
        self.until = until
