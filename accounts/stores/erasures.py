"""Stores in SQL which accounts are to be deleted, and the state of each deletion.

The functions run on the caller's connection. Every update names the state it starts from, so that
only one wins when a person cancels while a worker begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Actor
from accounts.erasure import STEPS, Erasure, ErasureState, ErasureStep, Unspent
from accounts.stores import tables
from database.engine import upsert

LISTED_MAX = 1_000
"""Rows of one list."""

_ERASURES = tables.erasures
_WAITS_FOR_FILES = sa.and_(_ERASURES.c.state == ErasureState.ERASING, _ERASURES.c.step == STEPS[-1])
IS_DONE_BUT_FILES = sa.or_(_ERASURES.c.state == ErasureState.DONE, _WAITS_FOR_FILES)
"""All steps of a deletion are done, except for old files."""
_PERSON_IS_GONE = STEPS[STEPS.index(ErasureStep.PERSON) + 1 :]
_COLUMNS = tuple(column for column in _ERASURES.c if column.name != "leased_until")


async def find(connection: AsyncConnection, account_id: str) -> Erasure | None:
    """Return the deletion of an account in any state; None if none was ever asked for."""
    query = sa.select(*_COLUMNS).where(_ERASURES.c.account_id == account_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _read(row)


async def ask(connection: AsyncConnection, erasure: Erasure) -> bool:
    """Note a requested deletion; False, and nothing changes, if one is already open."""
    values = _values(erasure)
    asked = await connection.execute(
        upsert(connection, _ERASURES)
        .values(values)
        .on_conflict_do_update(
            index_elements=[_ERASURES.c.account_id],
            set_=values | {"leased_until": None},
            where=_ERASURES.c.state == ErasureState.CANCELLED,
        )
        .returning(_ERASURES.c.account_id)
    )
    return asked.scalar() is not None


async def begin_now(connection: AsyncConnection, erasure: Erasure) -> bool:
    """Note a deletion that begins at once, in any state of an earlier one; return if one begins.

    One in progress goes on where it is. One that was done is done again: an older backup of the
    database was restored, or credit has come since.
    """
    state = _ERASURES.c.state
    values = _values(erasure) | {"leased_until": None}
    waiting = {"due_at": erasure.due_at, "leased_until": None}
    await connection.execute(
        sa.update(_ERASURES)
        .where(_ERASURES.c.account_id == erasure.account_id, state == ErasureState.WAITING)
        .values(waiting)
    )
    begun = await connection.execute(
        upsert(connection, _ERASURES)
        .values(values)
        .on_conflict_do_update(
            index_elements=[_ERASURES.c.account_id],
            set_=values,
            where=sa.or_(
                state == ErasureState.CANCELLED,
                IS_DONE_BUT_FILES,
            ),
        )
        .returning(_ERASURES.c.account_id)
    )
    return begun.scalar() is not None


async def cancel(connection: AsyncConnection, account_id: str, at: datetime) -> bool:
    """Cancel a waiting deletion; False if there is none."""
    cancelled = await connection.execute(
        sa.update(_ERASURES)
        .where(_ERASURES.c.account_id == account_id, _ERASURES.c.state == ErasureState.WAITING)
        .values(state=ErasureState.CANCELLED, ended_at=at)
        .returning(_ERASURES.c.account_id)
    )
    return cancelled.scalar() is not None


async def lease(
    connection: AsyncConnection, at: datetime, until: datetime, *, account_id: str = ""
) -> Erasure | None:
    """Lease a deletion that is due, or this account's, so that no one else does a step until then.

    The lease of a process that dies expires.
    """
    query = _due(at)
    if account_id:
        query = query.where(_ERASURES.c.account_id == account_id)
    found = await connection.scalar(query.with_for_update(skip_locked=True))
    if found is None:
        return None
    taken = await connection.execute(
        sa.update(_ERASURES)
        .where(_ERASURES.c.account_id == found)
        .values(state=ErasureState.ERASING, leased_until=until)
        .returning(*_COLUMNS)
    )
    return _read(taken.mappings().one())


async def held_until(connection: AsyncConnection, account_id: str, at: datetime) -> datetime | None:
    """Return until when a deletion that has begun is leased; None if it is free."""
    query = sa.select(_ERASURES.c.leased_until).where(
        _ERASURES.c.account_id == account_id,
        _ERASURES.c.state == ErasureState.ERASING,
        _ERASURES.c.leased_until > at,
    )
    until: datetime | None = await connection.scalar(query)
    return until


async def is_any_due(connection: AsyncConnection, at: datetime) -> bool:
    """Return whether a deletion is due that no one works on."""
    return await connection.scalar(_due(at)) is not None


def _due(at: datetime) -> sa.Select[tuple[str]]:
    free = sa.or_(_ERASURES.c.leased_until.is_(None), _ERASURES.c.leased_until <= at)
    due = sa.or_(
        _ERASURES.c.state == ErasureState.ERASING,
        sa.and_(_ERASURES.c.state == ErasureState.WAITING, _ERASURES.c.due_at <= at),
    )
    query = sa.select(_ERASURES.c.account_id).where(free, due)
    return query.order_by(_ERASURES.c.due_at, _ERASURES.c.account_id).limit(1)


async def proceed(
    connection: AsyncConnection, account_id: str, step: ErasureStep, until: datetime
) -> None:
    """Note that the steps before this one are done; progress is never lost."""
    before = STEPS[: STEPS.index(step)]
    await connection.execute(
        sa.update(_ERASURES)
        .where(
            _ERASURES.c.account_id == account_id,
            _ERASURES.c.state == ErasureState.ERASING,
            _ERASURES.c.step.in_(before),
        )
        .values(step=step, leased_until=until)
    )


async def rest(connection: AsyncConnection, account_id: str, until: datetime) -> None:
    """Set a deletion aside until then: something it waits for has not happened yet."""
    await connection.execute(
        sa.update(_ERASURES)
        .where(_ERASURES.c.account_id == account_id, _ERASURES.c.state == ErasureState.ERASING)
        .values(leased_until=until)
    )


async def waiting_for_files(connection: AsyncConnection) -> Sequence[str]:
    """Return accounts that wait for files to be rewritten, at most `LISTED_MAX`."""
    query = sa.select(_ERASURES.c.account_id).where(_WAITS_FOR_FILES)
    query = query.order_by(_ERASURES.c.due_at, _ERASURES.c.account_id).limit(LISTED_MAX)
    return (await connection.scalars(query)).all()


async def finish(connection: AsyncConnection, account_id: str, at: datetime) -> bool:
    """Note that the last step is done.

    False if that is noted, or earlier steps must be repeated.
    """
    finished = await connection.execute(
        sa.update(_ERASURES)
        .where(_ERASURES.c.account_id == account_id, _WAITS_FOR_FILES)
        .values(state=ErasureState.DONE, ended_at=at, leased_until=None)
        .returning(_ERASURES.c.account_id)
    )
    return finished.scalar() is not None


async def reopen(
    connection: AsyncConnection, account_id: str, step: ErasureStep, at: datetime
) -> bool:
    """Repeat a deletion that is done, except for old files, from this step on, now.

    False if there is none.
    """
    reopened = await connection.execute(
        sa.update(_ERASURES)
        .where(_ERASURES.c.account_id == account_id, IS_DONE_BUT_FILES)
        .values(state=ErasureState.ERASING, step=step, due_at=at, ended_at=None, leased_until=None)
        .returning(_ERASURES.c.account_id)
    )
    return reopened.scalar() is not None


async def erased(
    connection: AsyncConnection, since: datetime, after: str = ""
) -> Sequence[Erasure]:
    """Return deletions whose person is gone, without those that ended before a moment.

    At most `LISTED_MAX`, by account number, after the number `after`.
    """
    state = _ERASURES.c.state
    step = _ERASURES.c.step
    is_erased = sa.or_(
        sa.and_(state == ErasureState.DONE, _ERASURES.c.ended_at >= since),
        # Its last steps may wait for hours.
        sa.and_(state == ErasureState.ERASING, step.in_(_PERSON_IS_GONE)),
    )
    rows = await connection.execute(
        sa.select(*_COLUMNS)
        .where(is_erased, _ERASURES.c.account_id > after)
        .order_by(_ERASURES.c.account_id)
        .limit(LISTED_MAX)
    )
    return [_read(row) for row in rows.mappings()]


def _values(erasure: Erasure) -> dict[str, Any]:
    return {column.name: getattr(erasure, column.name) for column in _COLUMNS}


def _read(row: Mapping[Any, Any]) -> Erasure:
    return Erasure(
        account_id=row["account_id"],
        state=ErasureState(row["state"]),
        step=ErasureStep(row["step"]),
        unspent=Unspent(row["unspent"]),
        actor=Actor(row["actor"]),
        asked_at=row["asked_at"],
        due_at=row["due_at"],
        ended_at=row["ended_at"],
    )
