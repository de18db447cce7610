"""Stores one random key in a file that only this user may read.

Used by a node that has no key configured: what it stores in its database is sealed under a key that
a copy of the database alone does not contain.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gateway.errors import SettingsError


def kept_key(path: Path, new: Callable[[], str]) -> str:
    """Return the key in a file; create both if there is none.

    Processes that create it at the same time all return the same key. After a crash at any point
    there is a whole key or none. Raises SettingsError.
    """
    try:
        if not path.exists():
            _make(path, new())
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if not key:
        raise SettingsError(f"CALLER_DATA_DIR: {path.absolute()} holds no key, or cannot be read.")
    return key


def _make(path: Path, key: str) -> None:
    # Created with mode 600, and named in one step once it is complete; a link never replaces a
    # file.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".caller-") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return
