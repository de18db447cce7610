"""Reads files that an operator names, unless they are no files: those might never end, or begin."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotRegularError(OSError):
    """What is named is a folder, a pipe, a socket or a device."""


def read(file: Path, bytes_max: int = -1) -> bytes:
    """Return the content of a regular file, which links may lead to.

    Of one that is longer than `bytes_max` one byte more is read, by which that is seen. Raises
    NotRegularError, and OSError for one that cannot be read. Never waits for a writer.
    """
    # To open a pipe waits until somebody writes to it, unless told not to; what was opened is then
    # looked at, because the name may mean another file by now.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError
        return opened.read(-1 if bytes_max < 0 else bytes_max + 1)


def is_other(file: Path) -> bool:
    """Return whether the name is in use, and not by a regular file."""
    return file.exists() and not file.is_file()
