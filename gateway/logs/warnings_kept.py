"""Buffers the last warnings of this process until they are read, for operators to see.

Only lines of our own packages, which have fixed words. Of a line's fields only the call's id is
kept.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import UTC, datetime
from typing import Final, NamedTuple

KEPT_MAX: Final = 64


class KeptWarning(NamedTuple):
    """A line of the log, warning or worse."""

    at: datetime
    is_error: bool
    event: str
    call_id: str


class WarningsKept(logging.Handler):
    """A handler of the root logger; active until it is closed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: deque[KeptWarning] = deque(maxlen=KEPT_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line of ours; those of libraries may contain anything."""
        # structlog passes its fields as the message.
        if isinstance(record.msg, dict):
            at = datetime.fromtimestamp(round(record.created, 3), UTC)
            is_error = record.levelno >= logging.ERROR
            event = record.msg.get("event")
            call_id = record.msg.get("call_id")
            self._kept.append(KeptWarning(at, is_error, str(event), str(call_id or "")))

    def take(self) -> list[KeptWarning]:
        """Return what is kept, once."""
        taken: list[KeptWarning] = []
        # Other threads log as well: no line may be lost between a copy and a clear.
        while self._kept:
            taken.append(self._kept.popleft())
        return taken
