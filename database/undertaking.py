"""Tracks whether a request may have changed something, and what is written along with its change.

A commit whose answer is lost may have happened, so the answer never says that nothing was changed,
and a repeat finds what was written along with the change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Along = Callable[["AsyncConnection"], Awaitable[None]]
"""Writes something into a transaction; what it raises ends that without a change."""


@dataclass(slots=True)
class Undertaking:
    """What one request does."""

    along: Along | None = None
    """What its first change takes along, in the same transaction."""
    may_be_done: bool = False
    """Whether something may have been changed."""
    is_over: bool = False
    """Tasks that it has begun go on, and are no part of it any more."""


_CURRENT: Final[ContextVar[Undertaking | None]] = ContextVar("undertaking", default=None)


@contextmanager
def undertaken() -> Iterator[Undertaking]:
    """Follow what is undertaken until the end of the block."""
    work = Undertaking()
    token = _CURRENT.set(work)
    try:
        yield work
    finally:
        work.is_over = True
        _CURRENT.reset(token)


async def take_along(connection: AsyncConnection) -> None:
    """Write what goes along with the first change of what is undertaken."""
    work = _work()
    if work is not None and work.along is not None:
        await work.along(connection)


def note_commit() -> None:
    """Note that a transaction is being committed, with what goes along."""
    note_change()
    work = _work()
    if work is not None:
        work.along = None


def note_change() -> None:
    """Note that from now on something may have been changed."""
    work = _work()
    if work is not None:
        work.may_be_done = True


def _work() -> Undertaking | None:
    work = _CURRENT.get()
    return None if work is None or work.is_over else work
