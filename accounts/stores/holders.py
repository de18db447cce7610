"""Keeps the holders of accounts in SQL.

Functions on the caller's connection, so that a change of a holder commits together with what
belongs to it. All raise what the connection raises. Knows no account but its id.
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
    """Return the holder that a query, `SELECT` with conditions, finds."""
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Holder(**row._asdict())


async def find(connection: AsyncConnection, account_id: str) -> Holder | None:
    """Return the holder of an account."""
    return await fetch(connection, SELECT.where(_HOLDERS.c.account_id == account_id))


async def find_by_email(connection: AsyncConnection, email_key: str) -> Holder | None:
    """Return the holder who has an address."""
    return await fetch(connection, SELECT.where(_HOLDERS.c.email_key == email_key))


async def email_key(connection: AsyncConnection, account_id: str) -> str:
    """Return what a holder's address is compared by. There must be a holder."""
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
    """Change columns of a holder, and return the holder as it is then. There must be one.

    Args:
        connection: With a transaction for writing.
        account_id: Whose.
        begins_epoch: Whether every session that began before is over.
        values: Column -> value.

    Raises IntegrityError: the address is somebody else's.

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
    # It is kept beside the connection, which a pool lends again: so it is taken, not read.
    return bool(connection.info.pop(_CHANGED, False))


async def erase_holder(connection: AsyncConnection, account_id: str) -> None:
    """Delete a holder and all that is kept of the person; the audit log stays, as it names nobody.

    Does nothing where there is none.
    """
    # Locked first, as every change does: what is under way is over before, or finds nobody after.
    locked = sa.select(_HOLDERS.c.account_id).where(_HOLDERS.c.account_id == account_id)
    await connection.execute(locked.with_for_update())
    # Whoever makes an export has not that lock: a chunk would come between the two deletions.
    exports = tables.exports.c
    making = sa.select(exports.id).where(exports.account_id == account_id)
    await connection.execute(making.with_for_update())
    for table in (*parts(), _HOLDERS):
        await connection.execute(sa.delete(table).where(_is_of(table, account_id)))


@cache
def parts() -> Sequence[sa.Table]:
    """Return the tables whose rows belong to a holder, those that refer to another one first.

    By what they refer to, so that no table of a person can be forgotten.
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
