"""Keeps which accounts were erased in a file beside the data, and erases them again.

A copy of the database that is put back has people who were erased since it was made. The file is
not part of such a copy; it has account numbers and times, nothing of a person. Every process of
`caller serve` copies into its own who was erased by others, so that any that outlives the database
serves. Knows no step of an erasure.
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
from gateway.monitor.error_lines import JOURNAL_LINE
from gateway.stores import private_files

COPY_INTERVAL_S: Final = 30.0
"""How soon the file has who was erased by another process."""
APPLY_INTERVAL_S: Final = 600.0
"""How soon an account is closed that came back while the process ran; at a start it is at once."""
ASKED_MAX: Final = 500
"""Accounts that one question to the database is about."""
OVERLAP: Final = timedelta(hours=1)
"""How far back finished erasures are looked for again: clocks of nodes differ."""
HINT: Final = "make the data folder writable on this machine: `caller check` says what is wrong"
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)

_Done = TypeVar("_Done")

log = structlog.get_logger(__name__)


class Erasures(Protocol):
    """Erasures in the database. Raises StoreUnavailableError."""

    async def erased(self, since: datetime, after: str) -> Sequence[Erasure]:
        """Return deletions whose person is gone, but those that ended before a moment.

        A page of them, by account number, behind the number `after`; none where none is left.
        """

    async def standing(self, account_ids: Collection[str]) -> Mapping[str, datetime]:
        """Return those that are neither erased nor being erased, and when they were made."""

    async def begin_now(self, account_id: str, unspent: Unspent, actor: Actor) -> None:
        """Note a deletion that is due at once."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What the file has."""

    mark: tuple[int, ...] | None = None
    """Changes with the file; None where there is none."""
    erased: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(slots=True)
class ErasureJournal:
    """The file of one process. A line is a time (ISO 8601) and an account's number."""

    path: Path
    erasures: Erasures
    close: Callable[[str], Awaitable[None]]
    """Freezes an account for good: nobody signs in, and its keys open nothing."""
    _content: _Content = field(default_factory=_Content)
    _looked_from: datetime = _BEGINNING

    async def require(self) -> None:
        """Try to write, before anything is done that cannot be taken back.

        Raises StoreUnavailableError where nothing can be noted.
        """
        await self._read()
        await self._on_file(lambda: _try(self.path))

    async def note(self, account_id: str, at: datetime) -> None:
        """Write down that an account is erased; on the disk when this returns.

        Raises StoreUnavailableError where the file cannot be written.
        """
        await self._read()
        await self._add({account_id: at})

    async def apply(self) -> None:
        """Close accounts that came back with an older copy, and erase them again."""
        await self._read()
        # Now and then all are looked at again: one that ended by a clock that is far ahead hides
        # the next ones.
        self._looked_from = _BEGINNING
        erased = self._content.erased
        account_ids = list(erased)
        for start in range(0, len(account_ids), ASKED_MAX):
            standing = await self.erasures.standing(account_ids[start : start + ASKED_MAX])
            for account_id, created_at in standing.items():
                if must_repeat(erased[account_id], created_at):
                    log.warning("erased account came back, and is erased again", account=account_id)
                    await self.erasures.begin_now(account_id, Unspent.KEEP, Actor.SERVICE)
                    # At once: the first step of the deletion may be some seconds away.
                    await self.close(account_id)

    async def copy(self) -> None:
        """Write down who was erased by others, and whom this file has lost."""
        await self._read()
        after, looked_from = "", self._looked_from
        while found := await self.erasures.erased(self._looked_from, after):
            # Of one that is not at its end, when it began: its account was there before.
            await self._add({each.account_id: each.ended_at or each.due_at for each in found})
            ended = [each.ended_at - OVERLAP for each in found if each.ended_at is not None]
            looked_from = max([looked_from, *ended])
            after = found[-1].account_id
        # Only now: by their numbers the last to end may be the first.
        self._looked_from = looked_from

    async def _add(self, erased: Mapping[str, datetime]) -> None:
        lacking = {each: at for each, at in erased.items() if each not in self._content.erased}
        if lacking:
            self._take(await self._on_file(lambda: _add(self.path, self._content, lacking)))

    async def _read(self) -> None:
        """Read the file where it is another than before: somebody may have put one in its place."""
        self._take(await self._on_file(lambda: _reread(self.path, self._content)))

    def _take(self, content: _Content) -> None:
        if self._content.erased.keys() - content.erased.keys():
            # What was written once is gone, and is in the database still.
            self._looked_from = _BEGINNING
        self._content = content

    async def _on_file(self, work: Callable[[], _Done]) -> _Done:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            why = error.strerror or "no regular file"
            # Each time, so that its alarm lasts as long as the failure.
            log.error(  # noqa: TRY400 - no fault of the program
                JOURNAL_LINE, file=str(self.path.absolute()), reason=why, hint=HINT
            )
            said = f"{self.path.absolute()} cannot be written ({why})"
            raise StoreUnavailableError(said) from error


def _try(path: Path) -> None:
    """See that a line can be written. Raises OSError."""
    os.close(_open(path))
    private_files.try_to_write(path.parent)


def _open(path: Path) -> int:
    # Nobody but this user reads it.
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _add(path: Path, known: _Content, erased: Mapping[str, datetime]) -> _Content:
    """Write lines for accounts that have none, all or nothing; return what the file has then.

    Raises OSError.
    """
    handle = _open(path)
    try:
        # Lines of two processes never mix, and what is cut off here is nobody else's.
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Processes that share a folder have one file: another may just have written the same.
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
        # A number that is cut short may be another account's.
        os.ftruncate(handle, size)
        raise


def _write_whole(handle: int, line: bytes) -> None:
    # On a disk that is nearly full less is written than is asked, without an error.
    if os.write(handle, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _mark(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _reread(path: Path, known: _Content) -> _Content:
    """Return what the file has; what is known, where it has not changed. Raises OSError."""
    try:
        # Before it is read: a line that comes meanwhile changes it once more.
        mark = _mark(path.stat())
        return known if mark == known.mark else _Content(mark, _read(path))
    except FileNotFoundError:
        return _Content()


def _read(path: Path) -> Mapping[str, datetime]:
    """Return account -> when it was erased; what is no line of ours is left out."""
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
