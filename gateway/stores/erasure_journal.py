"""Keeps which accounts were erased in a file beside the data, and erases them again.

A copy of the database that is put back has people who were erased since it was made. The file is
not part of such a copy; it has account numbers and times, nothing of a person. Every node has one,
so that any that outlives the database serves. Knows no step of an erasure.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
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

INTERVAL_S: Final = 600.0
OVERLAP: Final = timedelta(hours=1)
"""How far back finished erasures are looked for again: clocks of nodes differ."""
HINT: Final = "make the data folder writable on this machine: `caller check` says what is wrong"
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)

_Done = TypeVar("_Done")

log = structlog.get_logger(__name__)


class Erasures(Protocol):
    """Erasures in the database. Raises StoreUnavailableError."""

    async def done(self, since: datetime) -> Sequence[Erasure]:
        """Return deletions that were finished since then, the first first."""

    async def standing_since(self, account_id: str) -> datetime | None:
        """Return when an account was made that is neither erased nor being erased."""

    async def begin_now(self, account_id: str, unspent: Unspent, actor: Actor) -> None:
        """Note a deletion that is due at once."""


@dataclass(slots=True)
class ErasureJournal:
    """The file of one node. A line is a time (ISO 8601) and an account's number."""

    path: Path
    erasures: Erasures
    close: Callable[[str], Awaitable[None]]
    """Freezes an account for good: nobody signs in, and its keys open nothing."""
    _known: dict[str, datetime] = field(default_factory=dict)
    _is_read: bool = False
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
        if account_id in self._known:
            return
        line = f"{at.isoformat()} {account_id}\n".encode()
        await self._on_file(lambda: _append(self.path, line))
        self._known[account_id] = at

    async def apply(self) -> None:
        """Close accounts that came back with an older copy, and erase them again."""
        await self._read()
        for account_id, at in list(self._known.items()):
            created_at = await self.erasures.standing_since(account_id)
            if created_at is not None and must_repeat(at, created_at):
                log.warning("erased account came back, and is erased again", account=account_id)
                await self.erasures.begin_now(account_id, Unspent.KEEP, Actor.SERVICE)
                # At once: the first step of the deletion may be some seconds away.
                await self.close(account_id)

    async def round(self) -> None:
        """Erase again what came back, and write down what other nodes have erased."""
        await self.apply()
        for erasure in await self.erasures.done(self._looked_from):
            if erasure.ended_at is not None:
                await self.note(erasure.account_id, erasure.ended_at)
                self._looked_from = max(self._looked_from, erasure.ended_at - OVERLAP)

    async def _read(self) -> None:
        if not self._is_read:
            self._known = dict(await self._on_file(lambda: _read(self.path)))
            self._is_read = True

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


def _append(path: Path, line: bytes) -> None:
    """Write a line, whole or not at all. Raises OSError."""
    handle = _open(path)
    try:
        # Lines of two processes never mix, and what is cut off here is nobody else's.
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line
        try:
            _write_whole(handle, line)
            os.fsync(handle)
        except OSError:
            # A number that is cut short may be another account's.
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def _write_whole(handle: int, line: bytes) -> None:
    # On a disk that is nearly full less is written than is asked, without an error.
    if os.write(handle, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read(path: Path) -> Mapping[str, datetime]:
    """Return account -> when it was erased; what is no line of ours is left out."""
    try:
        content = regular_files.read(path).decode(errors="replace")
    except FileNotFoundError:
        return {}
    found: dict[str, datetime] = {}
    for line in content.splitlines():
        at, _, account_id = line.partition(" ")
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            continue
        if account_id and moment.tzinfo is not None:
            found[account_id] = moment
    return found
