"""Stores the holders of accounts in SQL.

The functions run on the caller's connection, so that a change of a holder commits together with
what belongs to it. All raise what the connection raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.holder import Holder
from accounts.stores import tables
from database.engine import upsert

_HOLDERS = tables.holders
_COLUMNS = tuple(column for column in _HOLDERS.c if column.name != "email_key")

_CHANGED = "caller.holder_changed"

SELECT = sa.select(*_COLUMNS)
"""The query of all holders, for `fetch`."""


async def fetch(connection: AsyncConnection, query: sa.Select[*tuple[Any, ...]]) -> Holder | None:
    """Return the holder found by a query: `SELECT` with conditions."""
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Holder(**row._asdict())


async def find(connection: AsyncConnection, account_id: str) -> Holder | None:
    """Return the holder of an account."""
    return await fetch(connection, SELECT.where(_HOLDERS.c.account_id == account_id))


async def find_by_email(connection: AsyncConnection, email_key: str) -> Holder | None:
    """Return the holder who has an address."""
    return await fetch(connection, SELECT.where(_HOLDERS.c.email_key == email_key))


async def email_key(connection: AsyncConnection, account_id: str) -> str:
    """Return the key of a holder's address. There must be a holder."""
    query = sa.select(_HOLDERS.c.email_key).where(_HOLDERS.c.account_id == account_id)
    return str((await connection.execute(query)).scalar_one())


async def insert(connection: AsyncConnection, holder: Holder, email_key: str) -> bool:
    """Insert a holder; False, and nothing changes, if the account or the address has one."""
    values = {column.name: getattr(holder, column.name) for column in _COLUMNS}
    inserted = await connection.execute(
        upsert(connection, _HOLDERS)
        .values(values | {"email_key": email_key})
        .on_conflict_do_nothing()
        .returning(_HOLDERS.c.account_id)
    )
    return inserted.scalar() is not None


async def change(
    connection: AsyncConnection, account_id: str, *, begins_epoch: bool = False, **values: Any
) -> Holder:
    """Change columns of a holder, and return the holder after it. There must be one.

    Args:
        connection: With a transaction for writing.
        account_id: The account.
        begins_epoch: Whether every session that began before is over.
        values: Column -> value.

    Raises IntegrityError: someone else has the address.
    """
    connection.info[_CHANGED] = True
    if begins_epoch:
        values["credentials_epoch"] = _HOLDERS.c.credentials_epoch + 1
    changed = await connection.execute(
        sa.update(_HOLDERS)
        .where(_HOLDERS.c.account_id == account_id)
        .values(values)
        .returning(*_COLUMNS)
    )
    return Holder(**changed.one()._asdict())


def take_changed(connection: AsyncConnection) -> bool:
    """Return whether there was a `change` on this connection since this was last asked."""
    # Popped, not read, because a pool reuses the connection and its `info`.
    return bool(connection.info.pop(_CHANGED, False))


async def erase_holder(connection: AsyncConnection, account_id: str) -> None:
    """Delete a holder and all data about the person; the audit log stays, as it names no one.

    Does nothing if there is none.
    """
    # Locked first, as every change does: concurrent work ends before, or finds no holder after.
    locked = sa.select(_HOLDERS.c.account_id).where(_HOLDERS.c.account_id == account_id)
    await connection.execute(locked.with_for_update())
    # An export is made without that lock, so a chunk could be written between the two deletions.
    exports = tables.exports.c
    making = sa.select(exports.id).where(exports.account_id == account_id)
    await connection.execute(making.with_for_update())
    for table in (*parts(), _HOLDERS):
        await connection.execute(sa.delete(table).where(_is_of(table, account_id)))


@cache
def parts() -> Sequence[sa.Table]:
    """Return the tables whose rows belong to a holder, each before the tables it refers to.

    Derived from their foreign keys, so that no table can be forgotten.
    """
    found = {_HOLDERS}
    for table in tables.metadata.sorted_tables:
        if any(key.column.table in found for key in table.foreign_keys):
            found.add(table)
    found.remove(_HOLDERS)
    return [table for table in reversed(tables.metadata.sorted_tables) if table in found]


def _is_of(table: sa.Table, account_id: str) -> sa.ColumnElement[bool]:
    """Return whether a row of one of these tables belongs to a holder."""
    if "account_id" in table.c:
        return table.c.account_id == account_id
    key = next(iter(table.foreign_keys))
    parents = sa.select(key.column).where(_is_of(key.column.table, account_id))
    return key.parent.in_(parents)
