"""Keeps which accounts were erased in a file beside the data, and erases them again.

A copy of the database that is put back has people who were erased since it was made. The file is
not part of such a copy; it has account numbers and times, nothing of a person. Every node has one,
so that any that outlives the database serves. Knows no step of an erasure.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import structlog

from accounts.audit_log import Actor
from accounts.erasure import Erasure, Unspent, must_repeat
from database.errors import StoreUnavailableError
from gateway import regular_files

INTERVAL_S: Final = 600.0
OVERLAP: Final = timedelta(hours=1)
"""How far back finished erasures are looked for again: clocks of nodes differ."""
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)

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

    async def note(self, account_id: str, at: datetime) -> None:
        """Write down that an account is erased; on the disk when this returns.

        Raises StoreUnavailableError where the file cannot be written.
        """
        await self._read()
        if account_id in self._known:
            return
        try:
            await asyncio.to_thread(_append, self.path, f"{at.isoformat()} {account_id}\n")
        except OSError as error:
            said = f"{self.path.name} in the data folder cannot be written ({error.strerror})"
            raise StoreUnavailableError(said) from error
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
            self._known = dict(await asyncio.to_thread(_read, self.path))
            self._is_read = True


def _append(path: Path, line: str) -> None:
    # O_APPEND: lines of two processes never mix. Nobody but this user reads it.
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


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
