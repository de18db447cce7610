"""Records erased accounts in a file beside the data, and erases them again if they come back.

A restored copy of the database contains people who were erased since it was made. The file is not
part of such a copy; it has account numbers and times, no personal data. Every `caller serve`
process copies erasures by others into its own file, so any file that outlives the database will do.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, TypeVar

import structlog

from accounts.audit_log import Actor
from accounts.erasure import Erasure, Unspent, must_repeat
from database.errors import StoreUnavailableError
from gateway import regular_files
from gateway.stores import private_files

COPY_INTERVAL_S: Final = 30.0
"""How soon the file lists an account that another process erased."""
APPLY_INTERVAL_S: Final = 600.0
"""How soon an account that comes back while the process runs is closed; at a start, at once."""
ASKED_MAX: Final = 500
"""Accounts per database query."""
OVERLAP: Final = timedelta(hours=1)
"""How far back finished erasures are looked for again: nodes' clocks differ."""
JOURNAL_LINE: Final = "erasures cannot be recorded"
"""The error in the log; an alarm of its own covers it."""
HINT: Final = "make the data folder writable on this machine: `caller check` says what is wrong"
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)

_Done = TypeVar("_Done")

log = structlog.get_logger(__name__)


class Erasures(Protocol):
    """Erasures in the database. Raises StoreUnavailableError."""

    async def erased(self, since: datetime, after: str) -> Sequence[Erasure]:
        """Return deletions whose person is gone, except those that ended before a given time.

        One page, by account number, after the number `after`; empty if none is left.
        """

    async def standing(self, account_ids: Collection[str]) -> Mapping[str, datetime]:
        """Return accounts neither erased nor being erased -> when they were created."""

    async def begin_now(self, account_id: str, unspent: Unspent, actor: Actor) -> None:
        """Record a deletion that is due at once."""


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of the file."""

    mark: tuple[int, ...] | None = None
    """Changes with the file; None if there is no file."""
    erased: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(slots=True)
class ErasureJournal:
    """The file of one process. A line is a time (ISO 8601) and an account's number."""

    path: Path
    erasures: Erasures
    close: Callable[[str], Awaitable[None]]
    """Freezes an account for good: no one can sign in, and its keys stop working."""
    _content: _Content = field(default_factory=_Content)
    _looked_from: datetime = _BEGINNING

    async def require(self) -> None:
        """Try to write, before anything irreversible is done.

        Raises StoreUnavailableError if the file cannot be written.
        """
        await self._read()
        await self._on_file(lambda: _try(self.path))

    async def note(self, account_id: str, at: datetime) -> None:
        """Record that an account is erased; it is on disk when this returns.

        Raises StoreUnavailableError if the file cannot be written.
        """
        await self._read()
        await self._add({account_id: at})

    async def apply(self) -> None:
        """Close accounts that came back with an older copy, and erase them again."""
        await self._read()
        # Occasionally check all again: an erasure dated by a clock far ahead would hide later ones.
        self._looked_from = _BEGINNING
        erased = self._content.erased
        account_ids = list(erased)
        for start in range(0, len(account_ids), ASKED_MAX):
            standing = await self.erasures.standing(account_ids[start : start + ASKED_MAX])
            for account_id, created_at in standing.items():
                if must_repeat(erased[account_id], created_at):
                    log.warning("erased account came back; erasing it again", account=account_id)
                    await self.erasures.begin_now(account_id, Unspent.KEEP, Actor.SERVICE)
                    # At once: the first step of the deletion may be some seconds away.
                    await self.close(account_id)

    async def copy(self) -> None:
        """Add accounts erased by others, and any that this file has lost."""
        await self._read()
        after, looked_from = "", self._looked_from
        while found := await self.erasures.erased(self._looked_from, after):
            # While one is unfinished, use when it began: its account existed before.
            await self._add({each.account_id: each.ended_at or each.due_at for each in found})
            ended = [each.ended_at - OVERLAP for each in found if each.ended_at is not None]
            looked_from = max([looked_from, *ended])
            after = found[-1].account_id
        # Only now: pages are by account number, so the first page may have the latest end.
        self._looked_from = looked_from

    async def _add(self, erased: Mapping[str, datetime]) -> None:
        lacking = {each: at for each, at in erased.items() if each not in self._content.erased}
        if lacking:
            self._take(await self._on_file(lambda: _add(self.path, self._content, lacking)))

    async def _read(self) -> None:
        """Read the file if it has changed: someone may have replaced it."""
        self._take(await self._on_file(lambda: _reread(self.path, self._content)))

    def _take(self, content: _Content) -> None:
        if self._content.erased.keys() - content.erased.keys():
            # A line we wrote is gone, but the database still has it.
            self._looked_from = _BEGINNING
        self._content = content

    async def _on_file(self, work: Callable[[], _Done]) -> _Done:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            why = error.strerror or "not a regular file"
            # Every time, so that its alarm lasts as long as the failure.
            log.error(  # noqa: TRY400 - no fault of the program
                JOURNAL_LINE, file=str(self.path.absolute()), reason=why, hint=HINT
            )
            said = f"{self.path.absolute()} cannot be written ({why})"
            raise StoreUnavailableError(said) from error


def _try(path: Path) -> None:
    """Check that a line can be written. Raises OSError."""
    os.close(_open(path))
    private_files.try_to_write(path.parent)


def _open(path: Path) -> int:
    # Readable by this user only.
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _add(path: Path, known: _Content, erased: Mapping[str, datetime]) -> _Content:
    """Write lines for accounts that have none, all or nothing; return the new content.

    Raises OSError.
    """
    handle = _open(path)
    try:
        # Lines of two processes never mix, and truncating never cuts another's line.
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Processes that share a folder share the file: another may just have written the same.
        known = _reread(path, known)
        lacking = {each: at for each, at in erased.items() if each not in known.erased}
        if lacking:
            _append(handle, "".join(f"{at.isoformat()} {each}\n" for each, at in lacking.items()))
        return _Content(_mark(os.fstat(handle)), {**known.erased, **lacking})
    finally:
        os.close(handle)


def _append(handle: int, lines: str) -> None:
    """Write lines, all or nothing. Raises OSError."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        lines = "\n" + lines
    try:
        _write_whole(handle, lines.encode())
        os.fsync(handle)
    except OSError:
        # A truncated number may be another account's.
        os.ftruncate(handle, size)
        raise


def _write_whole(handle: int, line: bytes) -> None:
    # On a nearly full disk, write() may write less than asked, without an error.
    if os.write(handle, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _mark(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _reread(path: Path, known: _Content) -> _Content:
    """Return the content, or what is known if the file has not changed. Raises OSError."""
    try:
        # Taken before reading: a line that arrives meanwhile changes it again.
        mark = _mark(path.stat())
        return known if mark == known.mark else _Content(mark, _read(path))
    except FileNotFoundError:
        return _Content()


def _read(path: Path) -> Mapping[str, datetime]:
    """Return account -> when it was erased; lines that are not ours are skipped."""
    found: dict[str, datetime] = {}
    for line in regular_files.read(path).decode(errors="replace").splitlines():
        at, _, account_id = line.partition(" ")
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            continue
        if account_id and moment.tzinfo is not None:
            found[account_id] = moment
    return found
