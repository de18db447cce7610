"""Finds, reads and replaces the settings file, and checks its permissions.

The environment takes precedence over the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway import regular_files, settings_file
from gateway.errors import SettingsError
from gateway.settings import SETTINGS_FILE
from gateway.stores import private_files

NAME: Final = private_files.SETTINGS
"""Read in the working folder if no other file is named."""


def place(environ: Mapping[str, str]) -> Path | None:
    """Return where the settings are, or would be; None if the environment disables the file."""
    named = environ.get(SETTINGS_FILE)
    if named is None:
        return Path(NAME)
    return Path(named) if named.strip() else None


def overlaid(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment over the settings of the file. Raises SettingsError."""
    path = place(environ)
    if path is None:
        return environ
    return {**settings_file.parse(read(path, is_named=SETTINGS_FILE in environ)), **environ}


def read(path: Path, *, is_named: bool) -> str:
    """Return the text of a settings file. Raises SettingsError.

    A file that was not named explicitly may be missing, and must be this user's or root's: a
    command must not obey anyone who can write to the folder it is started in.
    """
    try:
        if not is_named and not path.is_file():
            return ""
        found = path.stat()
        data = regular_files.read(path, settings_file.BYTES_MAX)
    except OSError as error:
        why = error.strerror or "it is not a file"
        raise SettingsError(f"{SETTINGS_FILE}: {path} cannot be read: {why}.") from None
    if found.st_mode & stat.S_IWOTH:
        raise SettingsError(f"{path} can be written by everyone. Set its mode to 600.")
    if not is_named and found.st_uid not in (os.getuid(), 0):
        raise SettingsError(
            f"{path.absolute()} is another user's. Set {SETTINGS_FILE}={path} to use it anyway,"
            f" or {SETTINGS_FILE}= to use none."
        )
    if len(data) > settings_file.BYTES_MAX:
        raise SettingsError(f"{path} is longer than {settings_file.BYTES_MAX} bytes.")
    try:
        # Some editors begin a file with a byte order mark.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not written in UTF-8.") from None


def exposure(path: Path | None) -> str:
    """Return a warning that everyone may read a settings file, and what to do; empty if not so."""
    if path is None or not path.is_file() or not private_files.is_open_to_everyone(path):
        return ""
    warning = f"Everyone on this machine may read {path.absolute()}."
    return f"{warning} Set its mode to 600: it holds secrets."


def refusal(path: Path) -> str:
    """Return why a settings file cannot be written there, and what to do; empty if it can."""
    path = Path(os.path.realpath(path))
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder {folder}. Make it, or choose another file with --file."
    if regular_files.is_other(path):
        return f"{path} is not a file. Choose another one with --file."
    if folder.stat().st_mode & stat.S_IWOTH:
        return f"Everyone may write to {folder}. Choose a file in a folder of yours with --file."
    try:
        private_files.try_to_write(folder)
    except OSError as error:
        return f"{folder} cannot be written to: {error.strerror}. Choose another with --file."
    return ""


def write(path: Path, text: str) -> None:
    """Replace a settings file atomically; only its owner may read it. Raises OSError."""
    private_files.replace(Path(os.path.realpath(path)), text.encode())
