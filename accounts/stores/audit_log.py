"""Stores the audit log of accounts in SQL: what was done, when, by whom and why.

The database refuses to change a line, or to delete it early. Only a line's reason can be erased,
when its account is.

The functions run on the caller's connection, so that an act and its line commit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Act, Actor
from accounts.stores import tables

_EVENTS = tables.account_events
_FORGETTING = tables.event_forgetting
HAS_REASON = _EVENTS.c.reason != ""
_SELECT = sa.select(
    _EVENTS.c.at,
    _EVENTS.c.act,
    _EVENTS.c.actor,
    _EVENTS.c.reason,
    _EVENTS.c.operator,
    _EVENTS.c.id,
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log."""

    at: datetime
    act: Act
    actor: Actor
    reason: str = ""
    """As its actor gave it; empty if none is required."""
    operator: str = ""
    """The operator, or the id of the API key; empty for all other actors."""
    number: int = field(default=0, compare=False)
    """Rises from line to line."""


async def record(
    connection: AsyncConnection,
    account_id: str,
    act: Act,
    at: datetime,
    actor: Actor = Actor.HOLDER,
    *,
    reason: str = "",
    operator: str = "",
) -> None:
    """Write a line; a reason that is too long is cut."""
    await connection.execute(
        sa.insert(_EVENTS).values(
            account_id=account_id,
            at=at,
            act=act.value,
            actor=actor.value,
            reason=reason[: tables.REASON_MAX],
            operator=operator,
        )
    )


async def of_account(
    connection: AsyncConnection,
    account_id: str,
    *,
    limit: int,
    before: int | None = None,
    act: Act | None = None,
) -> Sequence[AuditEntry]:
    """Return an account's newest lines, the newest first.

    With `before` only those before a number, with `act` only those of one act.
    """
    query = (
        _SELECT.where(_EVENTS.c.account_id == account_id).order_by(_EVENTS.c.id.desc()).limit(limit)
    )
    if before is not None:
        query = query.where(_EVENTS.c.id < before)
    if act is not None:
        query = query.where(_EVENTS.c.act == act.value)
    return [_entry(row) for row in await connection.execute(query)]


async def count_since(
    connection: AsyncConnection, account_id: str, act: Act, since: datetime
) -> int:
    """Return how often something was done since a moment."""
    counted = sa.select(sa.func.count()).where(
        _EVENTS.c.account_id == account_id, _EVENTS.c.act == act.value, _EVENTS.c.at > since
    )
    return int(await connection.scalar(counted) or 0)


async def last(connection: AsyncConnection, account_id: str, *acts: Act) -> AuditEntry | None:
    """Return the newest line of one of these acts; None if there is none."""
    row = (
        await connection.execute(
            _SELECT.where(
                _EVENTS.c.account_id == account_id, _EVENTS.c.act.in_([act.value for act in acts])
            )
            .order_by(_EVENTS.c.id.desc())
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else _entry(row)


async def forget(connection: AsyncConnection, is_old: sa.ColumnElement[bool], *, limit: int) -> int:
    """Delete the oldest lines that meet a condition; return how many, at most `limit`.

    The database refuses every other way to delete a line.
    """
    old = sa.select(_EVENTS.c.id).where(is_old).order_by(_EVENTS.c.at).limit(limit)
    ids = (await connection.scalars(old.with_for_update(skip_locked=True))).all()
    if ids:
        await connection.execute(sa.insert(_FORGETTING).values(id=1))
        await connection.execute(sa.delete(_EVENTS).where(_EVENTS.c.id.in_(ids)))
        await connection.execute(sa.delete(_FORGETTING))
    return len(ids)


async def erase_reasons(
    connection: AsyncConnection, of: sa.ColumnElement[bool], *, limit: int | None = None
) -> int:
    """Erase the reasons of lines that meet a condition, because they contain people's words.

    Return how many lines were changed, at most `limit`. The database refuses every other change of
    a line.
    """
    with_reason = sa.select(_EVENTS.c.id).where(of, HAS_REASON).limit(limit)
    ids = (await connection.scalars(with_reason.with_for_update())).all()
    if ids:
        await connection.execute(sa.insert(_FORGETTING).values(id=1))
        await connection.execute(sa.update(_EVENTS).where(_EVENTS.c.id.in_(ids)).values(reason=""))
        await connection.execute(sa.delete(_FORGETTING))
    return len(ids)


def _entry(row: sa.Row[*tuple[Any, ...]]) -> AuditEntry:
    return AuditEntry(row.at, Act(row.act), Actor(row.actor), row.reason, row.operator, row.id)
