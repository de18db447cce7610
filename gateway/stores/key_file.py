"""Keeps one random key in a file that only this user may read.

For a node by itself: what it keeps in its database is sealed under a key that a copy of the
database alone does not have. Knows nothing of what is sealed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gateway.errors import SettingsError


def kept_key(path: Path, new: Callable[[], str]) -> str:
    """Return the key in a file; make both where there is none.

    Of processes that make it at once all return the same. Killed at any point, there is a whole key
    or none. Raises SettingsError.
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
    # Made with a mode of 600, and named at once when it is whole; a link never replaces a file.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".caller-") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return
