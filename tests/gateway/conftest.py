"""What holds for every test of the gateway: logging and hooks are as before when it is over."""

import logging
import sys
import threading

import pytest
import structlog

from gateway.logs import formats

LOGGERS = ("", *formats.OURS, *formats.QUIETER)


@pytest.fixture(autouse=True)
def own_logging(monkeypatch):
    """Put back what commands set up for a process."""
    configure = structlog.configure

    def configure_anew(**options):
        # A logger that is kept as it was when it first wrote would pass by `capture_logs` later.
        configure(**options | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_anew)
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {n: logging.getLogger(n).level for n in LOGGERS}
    hooks = threading.excepthook, sys.unraisablehook
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        if logging.getLogger(name).level != level:
            logging.getLogger(name).setLevel(level)
    threading.excepthook, sys.unraisablehook = hooks
    structlog.reset_defaults()
