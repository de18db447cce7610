"""Formats log lines for people or for machines, ours and the libraries'.

In the `json` format everything that a process writes to standard error is a line of JSON: messages
to the operator, warnings, and uncaught exceptions.

No line holds the value of a local variable, a phone number, a token or a name, at any level; and a
fault that repeats neither fills the disk nor blocks the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

import structlog

from gateway.logs import tracebacks

OURS: Final = ("gateway", "billing", "accounts", "database", "media")
"""Packages logged at the configured level. All others log warnings only: below that, libraries log
their parameters (aiosqlite's include phone numbers, httpx's addresses)."""

QUIETER: Final = {
    # It warns about what clients send, and anyone can send anything.
    "uvicorn": logging.ERROR,
    # At each start it logs how it reads its own configuration.
    "alembic": logging.WARNING,
}

EVENT_CHARACTERS_MAX: Final = 2_000

WRITER: Final = ("node", "role")
"""Fields in all lines of a process that is one of several; it has one of them."""

_log = structlog.get_logger(__name__)
_is_json = False
_writer: dict[str, str] = {}


def is_json() -> bool:
    """Return whether lines are written for machines."""
    return _is_json


def prepare(environ: Mapping[str, str]) -> None:
    """Set the format from the environment, for the time before the settings are read."""
    configure("info", "json" if environ.get("CALLER_LOG_FORMAT") == "json" else "text")


def sign(**writer: str) -> None:
    """Make each line from now on say who writes it, by fields of `WRITER`."""
    _writer.clear()
    _writer.update(writer)


def configure(level: str, form: str) -> None:
    """Send all log lines, ours and the libraries', to standard error as `text` or `json`."""
    global _is_json  # noqa: PLW0603 - as logging's own configuration, it is the process's
    _is_json = form == "json"
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_writer,
    ]
    rendering: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer()]
    if form == "text":
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The default formatter shows the local variables of each frame.
            exception_formatter=structlog.dev.plain_traceback,
        )
        rendering = [_escape, console]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Loggers are created at import, before this; they are configured when they first write.
        cache_logger_on_first_use=True,
    )
    handler = _Handler(sys.stderr)
    handler.addFilter(_Repeats())
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=shared,
            processors=[
                _tell_fault,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendering,
            ],
        )
    )
    root = logging.getLogger()
    # Replaced, not added: this runs again once the settings are read.
    root.handlers[:] = [handler]
    logging.captureWarnings(True)
    # A library's own handlers would bypass this one.
    for name in root.manager.loggerDict:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    set_level(level)


def set_level(level: str) -> None:
    """Log our own lines from this level on, and those of libraries never below warnings.

    `configure` was called before.
    """
    severity = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    # For all others that are not listed below, at any level of ours.
    root.setLevel(max(severity, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(severity)
    for name, least in QUIETER.items():
        logging.getLogger(name).setLevel(max(severity, least))


def take_hooks() -> None:
    """Log uncaught exceptions, in threads and destructors too, like any other fault."""
    sys.excepthook = _tell_last
    threading.excepthook = lambda args: log_uncaught(args.exc_value, "thread failed")
    sys.unraisablehook = lambda args: log_uncaught(args.exc_value, "destructor failed")


def log_uncaught(error: BaseException | None, what: str) -> None:
    """Log an exception that has ended something."""
    # A requested exit is not a fault, and has printed its reason.
    if error is not None and not isinstance(error, SystemExit):
        _log.error(what, exc_info=error)


def _tell_last(
    _kind: type[BaseException], error: BaseException, _traceback: TracebackType | None
) -> None:
    log_uncaught(error, "process ended")


def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what an event loop reports; its own handler prints callbacks with their arguments."""
    # The loop appends a repr, which may hold arguments; the words before it are its own.
    message = str(context.get("message", "")).partition("(")[0].partition("<")[0].strip()
    what = context.get("task") or context.get("future")
    name = what.get_name() if isinstance(what, asyncio.Task) else ""
    _log.error("event loop", report=message, task=name, exc_info=context.get("exception"))


class _Handler(logging.StreamHandler[Any]):
    """Writes lines; if one cannot be written, says only that, not what it contains."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        # Without the exception: what could not be formatted may be the very thing that must not
        # show.
        event = f"A log line of {record.name} could not be written."
        line = json.dumps({"event": event, "level": "error", "logger": __name__})
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write((line if _is_json else event) + "\n")


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders lines, and redacts what must not be in any of them."""

    def format(self, record: logging.LogRecord) -> str:
        # On the finished line, so that no field and no library can bypass it.
        return tracebacks.redact(super().format(record))


class _Repeats(logging.Filter):
    """Limits how often the same fault, or the same library message, is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._budget = tracebacks.RepeatBudget()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        is_ours = record.name.partition(".")[0] in OURS
        if not is_ours and record.levelno < logging.WARNING:
            return False
        # structlog passes its fields as the message; libraries pass a text.
        structured = record.msg if isinstance(record.msg, dict) else {}
        error = _error_of(structured.get("exc_info") or record.exc_info)
        # Our own events are bounded where they are logged; anyone may be able to cause a fault.
        if is_ours and error is None:
            return True
        # A fault is identified by where it was raised, because one handler logs many; a library's
        # line by where it is logged.
        place = (record.pathname, record.lineno) if error is None else tracebacks.origin(error)
        # Libraries log from their own threads, and `RepeatBudget` is not thread-safe.
        with self._lock:
            left_out = self._budget.admit((record.name, place), time.monotonic_ns())
        record.left_out = left_out
        return left_out is not None


def _tell_writer(_logger: object, _name: str, event: Any) -> Any:
    """Add the writer to a line's fields; a line about another node keeps that one's name."""
    for name, value in _writer.items():
        event.setdefault(name, value)
    return event


def _tell_fault(_logger: object, _name: str, event: Any) -> Any:
    """Put a line's traceback, and the number of omitted repetitions, into its fields."""
    # Taken out, or the renderer would draw the exception itself, with variables.
    error = _error_of(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = tracebacks.describe(error)
    if left_out := getattr(event["_record"], "left_out", 0):
        event["left_out"] = left_out
    text = str(event["event"])
    if len(text) > EVENT_CHARACTERS_MAX:
        event["event"] = text[:EVENT_CHARACTERS_MAX] + "…"
    return event


def _escape(_logger: object, _name: str, event: Any) -> Any:
    """Escape what would break a line of text, or steer the terminal that shows it.

    A traceback keeps its lines: it quotes no value.
    """
    for name, value in event.items():
        if name != "exception" and isinstance(value, str) and not value.isprintable():
            event[name] = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return event


def _error_of(exc_info: Any) -> BaseException | None:
    """Return the exception of a line, in every form in which a logger accepts one."""
    found = sys.exc_info() if exc_info is True else exc_info
    error = found[1] if isinstance(found, tuple) else found
    return error if isinstance(error, BaseException) else None
