"""Keeps the last warnings of this process until somebody takes them, for operators to see.

Only what our own packages log: their lines have fixed words. Of a line's fields it keeps the call's
id alone. Knows nobody who watches.
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
    """A handler of the root logger; takes part until it is closed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: deque[KeptWarning] = deque(maxlen=KEPT_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line of ours; those of libraries may say anything."""
        # structlog hands its fields on as the message.
        if isinstance(record.msg, dict):
            at = datetime.fromtimestamp(round(record.created, 3), UTC)
            is_error = record.levelno >= logging.ERROR
            event, call_id = record.msg.get("event"), record.msg.get("call_id")
            self._kept.append(KeptWarning(at, is_error, str(event), str(call_id or "")))

    def take(self) -> list[KeptWarning]:
        """Return what is kept, once."""
        taken: list[KeptWarning] = []
        # Other threads log as well: no line may be lost between a copy and a clearing.
        while self._kept:
            taken.append(self._kept.popleft())
        return taken
