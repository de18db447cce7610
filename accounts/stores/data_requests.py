"""Stores in SQL the register of what people asked for about their data.

The functions run on the caller's connection. A row has an account's number and dates, and is kept
when the account is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Actor
from accounts.data_request import DataRequest, Right, due
from accounts.stores import tables

LISTED_MAX = 200
"""Rows of one list."""

_REQUESTS = tables.data_requests


async def ask(
    connection: AsyncConnection,
    account_id: str,
    right: Right,
    at: datetime,
    *,
    is_done: bool = False,
    actor: Actor = Actor.HOLDER,
) -> bool:
    """Note a request; False, and nothing is noted, if the same one is already open.

    Args:
        connection: With a transaction for writing.
        account_id: The account.
        right: What is asked for.
        at: Now.
        is_done: Whether the act that notes it also answers it.
        actor: Who answered it, if so.
    """
    if not is_done and await _open_id(connection, account_id, right) is not None:
        return False
    await connection.execute(
        sa.insert(_REQUESTS).values(
            account_id=account_id,
            kind=right,
            asked_at=at,
            due_at=due(at),
            done_at=at if is_done else None,
            done_by=actor if is_done else "",
            note="",
        )
    )
    return True


async def answer(
    connection: AsyncConnection,
    account_id: str,
    right: Right,
    at: datetime,
    actor: Actor,
    *,
    note: str = "",
) -> None:
    """Note that an open request is answered; does nothing if none is open."""
    number = await _open_id(connection, account_id, right)
    if number is not None:
        await close(connection, number, at, actor, note)


async def answer_all(
    connection: AsyncConnection, account_id: str, at: datetime, actor: Actor
) -> None:
    """Note that all requests of an account are answered, because nothing of it is left."""
    await connection.execute(
        sa.update(_REQUESTS)
        .where(_REQUESTS.c.account_id == account_id, _REQUESTS.c.done_at.is_(None))
        .values(done_at=at, done_by=actor)
    )


async def erase_notes(connection: AsyncConnection, account_id: str) -> None:
    """Erase the notes on an account's requests, which contain people's words."""
    await connection.execute(
        sa.update(_REQUESTS).where(_REQUESTS.c.account_id == account_id).values(note="")
    )


async def close(
    connection: AsyncConnection, number: int, at: datetime, actor: Actor, note: str = ""
) -> DataRequest | None:
    """Note that the request with this number is answered; None if it is not open."""
    closed = await connection.execute(
        sa.update(_REQUESTS)
        .where(_REQUESTS.c.id == number, _REQUESTS.c.done_at.is_(None))
        .values(done_at=at, done_by=actor, note=note)
        .returning(_REQUESTS)
    )
    row = closed.mappings().one_or_none()
    return None if row is None else _read(row)


async def of_account(connection: AsyncConnection, account_id: str) -> Sequence[DataRequest]:
    """Return an account's newest requests, the newest first."""
    return await page(connection, account_id=account_id)


async def newest(connection: AsyncConnection) -> Sequence[DataRequest]:
    """Return the newest requests of all accounts, the newest first."""
    return await page(connection)


async def unanswered(connection: AsyncConnection) -> Sequence[DataRequest]:
    """Return the open requests, the one due first at the top."""
    return await page(connection, is_open=True)


async def page(
    connection: AsyncConnection,
    *,
    account_id: str = "",
    is_open: bool = False,
    limit: int = LISTED_MAX,
    before: int | None = None,
) -> Sequence[DataRequest]:
    """Return requests, the newest first.

    Args:
        connection: With any transaction.
        account_id: Only of this account; empty for all.
        is_open: Only open ones, the one due first at the top.
        limit: How many at most.
        before: Number of the request after which the page begins; unknown: an empty page.
    """
    rows = _REQUESTS.c
    query = sa.select(_REQUESTS).limit(min(limit, LISTED_MAX + 1))
    if account_id:
        query = query.where(rows.account_id == account_id)
    if not is_open:
        query = query.order_by(rows.id.desc())
        return await _list(connection, query if before is None else query.where(rows.id < before))
    query = query.where(rows.done_at.is_(None)).order_by(rows.due_at, rows.id)
    if before is not None:
        start = sa.select(rows.due_at, rows.id).where(rows.id == before)
        query = query.where(sa.tuple_(rows.due_at, rows.id) > start.scalar_subquery())
    return await _list(connection, query)


async def _open_id(connection: AsyncConnection, account_id: str, right: Right) -> int | None:
    query = sa.select(sa.func.min(_REQUESTS.c.id)).where(
        _REQUESTS.c.account_id == account_id,
        _REQUESTS.c.kind == right,
        _REQUESTS.c.done_at.is_(None),
    )
    number: int | None = await connection.scalar(query)
    return number


async def _list(
    connection: AsyncConnection, query: sa.Select[*tuple[Any, ...]]
) -> Sequence[DataRequest]:
    return [_read(row) for row in (await connection.execute(query)).mappings()]


def _read(row: Mapping[Any, Any]) -> DataRequest:
    return DataRequest(
        id=row["id"],
        account_id=row["account_id"],
        right=Right(row["kind"]),
        asked_at=row["asked_at"],
        due_at=row["due_at"],
        done_at=row["done_at"],
        done_by=Actor(row["done_by"]) if row["done_by"] else None,
        note=row["note"],
    )
