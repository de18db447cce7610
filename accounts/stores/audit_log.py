"""Keeps the audit log of holders in SQL: what was done, when and by whom; no row changes.

Functions on the caller's connection, so that an act and its line commit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Act, Actor
from accounts.stores import tables

_EVENTS = tables.account_events


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit log."""

    at: datetime
    act: Act
    actor: Actor


async def record(
    connection: AsyncConnection,
    account_id: str,
    act: Act,
    at: datetime,
    actor: Actor = Actor.HOLDER,
) -> None:
    """Write a line."""
    await connection.execute(
        sa.insert(_EVENTS).values(account_id=account_id, at=at, act=act.value, actor=actor.value)
    )


async def of_account(
    connection: AsyncConnection, account_id: str, *, limit: int
) -> Sequence[Entry]:
    """Return an account's newest lines, the newest first."""
    rows = await connection.execute(
        sa.select(_EVENTS.c.at, _EVENTS.c.act, _EVENTS.c.actor)
        .where(_EVENTS.c.account_id == account_id)
        .order_by(_EVENTS.c.id.desc())
        .limit(limit)
    )
    return [Entry(row.at, Act(row.act), Actor(row.actor)) for row in rows]
