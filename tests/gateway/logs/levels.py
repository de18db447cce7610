"""Keeps a test that changes log levels from changing what other tests' lines become."""

import contextlib
import logging

from gateway.logs import formats


@contextlib.contextmanager
def kept_levels():
    """Put the levels of all loggers that `formats` names back."""
    loggers = [logging.getLogger(name) for name in ("", *formats.OURS, *formats.QUIETER)]
    levels = [each.level for each in loggers]
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
