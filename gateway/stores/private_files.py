"""Restricts files to the user of this process: call records, credits, keys.

Access for everyone is removed if that can harm no one else; otherwise a message says what to do.
Group access granted on purpose stays.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from gateway.errors import SettingsError

DATABASE: Final = "caller.db"
VALKEY: Final = "valkey"
DEMO: Final = "demo.json"
SECOND_FACTOR_KEY: Final = "second-factor.key"
ERASED: Final = "erased.log"
"""The erased accounts."""
SETTINGS: Final = "caller.env"
"""Settings, if the gateway is started in its data folder."""

_TRIAL_BYTES: Final = 64 * 1024

_COMPANIONS: Final = ("-wal", "-shm", "-journal")
"""Files that SQLite creates beside a database, with the database's mode."""
_OURS: Final = frozenset(
    {
        DATABASE,
        VALKEY,
        DEMO,
        SECOND_FACTOR_KEY,
        ERASED,
        SETTINGS,
        *(DATABASE + end for end in _COMPANIONS),
    }
)


def restrict_folder(folder: Path) -> None:
    """Create a folder that only this user may open, or restrict an existing one.

    Raises SettingsError for one that must not be restricted, or cannot be.
    """
    if problem := refusal(folder):
        raise SettingsError(problem)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        restrict(folder)
    except OSError as error:
        raise SettingsError(_unusable(folder, error.strerror or "?")) from None


def restrict_database(path: Path) -> None:
    """Restrict SQLite's database and its companion files; create a missing database."""
    # If the file cannot be created, SQLite will report it.
    with contextlib.suppress(OSError):
        # Before SQLite does, which would create it with the umask; the files it creates beside it
        # take the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for end in ("", *_COMPANIONS):
        restrict(Path(f"{path}{end}"))


def restrict_tree(folder: Path) -> None:
    """Restrict a folder of ours and everything in it."""
    for path in (folder, *folder.rglob("*")):
        restrict(path)


def restrict(path: Path) -> None:
    """Restrict a file or folder of ours to this user; a missing one is ignored."""
    with contextlib.suppress(FileNotFoundError):
        # A link may lead to anything, and another user's file is not ours to change.
        if (
            is_open_to_everyone(path)
            and not path.is_symlink()
            and path.stat().st_uid == os.getuid()
        ):
            # The group goes too: a mode that lets everyone in was not chosen with a group in mind.
            path.chmod(stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXU)


def _unusable(folder: Path, why: str) -> str:
    return f"CALLER_DATA_DIR: {folder.absolute()} cannot be used: {why}. Choose another folder."


def is_open_to_everyone(path: Path) -> bool:
    """Return whether everyone has any access to an existing file or folder."""
    return path.exists() and bool(path.stat().st_mode & stat.S_IRWXO)


def refusal(folder: Path) -> str:
    """Return why a folder cannot hold the data, and what to do; empty if it can."""
    if problem := _lacks(folder):
        return problem
    if not is_open_to_everyone(folder):
        return ""
    status, named = folder.stat(), f"CALLER_DATA_DIR: {folder.absolute()}"
    if status.st_mode & stat.S_IWOTH:
        return f"{named} can be written by everyone. Choose a folder of Caller's own."
    if status.st_uid != os.getuid():
        return f"{named} is open to everyone and not ours to close. Set its mode to 770, or own it."
    # Other programs may need these files, and would be cut off from them.
    if any(entry.name not in _OURS for entry in folder.iterdir()):
        return (
            f"{named} is open to everyone and holds more than Caller's files. "
            "Choose a folder of its own, or set its mode to 700."
        )
    return ""


def try_to_write(folder: Path) -> None:
    """Write to a folder, or to where it will be created, and clean up. Raises OSError.

    Permissions are not enough: a file system can be read-only, full, out of inodes, or over quota.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".caller-", dir=_nearest(folder)) as made,
        (Path(made) / "trial").open("wb") as trial,
    ):
        trial.write(bytes(_TRIAL_BYTES))
        trial.flush()
        os.fsync(trial.fileno())


def replace(path: Path, data: bytes) -> None:
    """Write a file that only this user may open, replacing an older one. Raises OSError.

    A reader, or anyone after a crash, finds the old file or the new one, whole. Another user's file
    stays theirs if this one may give it to them.
    """
    fresh = path.with_name(f"{path.name}.new")
    # May be left by an interrupted write; O_EXCL would refuse it.
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as new:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                before = path.stat()
                os.fchown(descriptor, before.st_uid, before.st_gid)
            new.write(data)
            new.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The new name must survive a power failure too.
        os.fsync(folder)
    finally:
        os.close(folder)


def free_bytes(folder: Path) -> int:
    """Return the bytes free for this user on the disk of a folder, or where it will be created."""
    disk = os.statvfs(_nearest(folder))
    return disk.f_bavail * disk.f_frsize


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _lacks(folder: Path) -> str:
    """Return why nothing can be stored in a folder, or in the one where it would be created."""
    nearest = _nearest(folder)
    if not nearest.is_dir():
        return _unusable(folder, f"{nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return _unusable(folder, f"{nearest} may not be written by this user")
    return ""
