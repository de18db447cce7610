"""Reads files that an operator names, if they are regular: others might never end, or begin."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotRegularError(OSError):
    """The path is a folder, a pipe, a socket or a device."""


def read(file: Path, bytes_max: int = -1) -> bytes:
    """Return the content of a regular file, following links.

    If it is longer than `bytes_max`, one byte more is read, which reveals that. Raises
    NotRegularError, and OSError for one that cannot be read. Never waits for a writer.
    """
    # Opening a pipe waits until somebody writes to it, unless told not to; the descriptor is then
    # checked, because the name may mean another file by now.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError
        return opened.read(-1 if bytes_max < 0 else bytes_max + 1)


def is_other(file: Path) -> bool:
    """Return whether the path exists, and is not a regular file."""
    return file.exists() and not file.is_file()
