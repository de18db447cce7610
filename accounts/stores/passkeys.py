"""Stores passkeys in SQL: public keys, and what their authenticators report.

The functions run on the caller's connection; those that change something need the holder's lock.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.passkey import Passkey
from accounts.stores import tables
from database.engine import upsert

_PASSKEYS = tables.passkeys


async def find(connection: AsyncConnection, credential_id: str) -> Passkey | None:
    """Return a passkey by its credential id."""
    query = sa.select(_PASSKEYS).where(_PASSKEYS.c.credential_id == credential_id)
    row = (await connection.execute(query)).first()
    return None if row is None else _read(row)


async def of_account(connection: AsyncConnection, account_id: str) -> Sequence[Passkey]:
    """Return a holder's passkeys, the newest first."""
    rows = await connection.execute(
        sa.select(_PASSKEYS)
        .where(_PASSKEYS.c.account_id == account_id)
        .order_by(_PASSKEYS.c.added_at.desc(), _PASSKEYS.c.credential_id)
    )
    return [_read(row) for row in rows]


async def add(connection: AsyncConnection, passkey: Passkey) -> bool:
    """Add one; False, and nothing changes, if its id exists."""
    row = {
        "credential_id": passkey.credential_id,
        "account_id": passkey.account_id,
        "public_key": base64.b64encode(passkey.public_key).decode(),
        "sign_count": passkey.sign_count,
        "name": passkey.name,
        "is_synced": passkey.is_synced,
        "is_backed_up": passkey.is_backed_up,
        "added_at": passkey.added_at,
        "used_at": passkey.used_at,
    }
    added = await connection.execute(
        upsert(connection, _PASSKEYS)
        .values(row)
        .on_conflict_do_nothing()
        .returning(_PASSKEYS.c.credential_id)
    )
    return added.scalar() is not None


async def rename(
    connection: AsyncConnection, account_id: str, credential_id: str, name: str
) -> bool:
    """Rename one; False if it has that name already, or there is none."""
    renamed = await connection.execute(
        sa.update(_PASSKEYS)
        .where(*_mine(account_id, credential_id), _PASSKEYS.c.name != name)
        .values(name=name)
        .returning(_PASSKEYS.c.credential_id)
    )
    return renamed.scalar() is not None


async def remove(connection: AsyncConnection, account_id: str, credential_id: str) -> bool:
    """Remove one; False if there is none."""
    removed = await connection.execute(
        sa.delete(_PASSKEYS)
        .where(*_mine(account_id, credential_id))
        .returning(_PASSKEYS.c.credential_id)
    )
    return removed.scalar() is not None


async def use(connection: AsyncConnection, passkey: Passkey, before: int) -> bool:
    """Note a use; False if there is none, or its count is no longer `before`."""
    used = await connection.execute(
        sa.update(_PASSKEYS)
        .where(*_mine(passkey.account_id, passkey.credential_id), _PASSKEYS.c.sign_count == before)
        .values(
            sign_count=passkey.sign_count,
            is_backed_up=passkey.is_backed_up,
            used_at=passkey.used_at,
        )
        .returning(_PASSKEYS.c.credential_id)
    )
    return used.scalar() is not None


def _mine(account_id: str, credential_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _PASSKEYS.c.account_id == account_id, _PASSKEYS.c.credential_id == credential_id


def _read(row: sa.Row[Any]) -> Passkey:
    values = row._asdict()
    return Passkey(**values | {"public_key": base64.b64decode(values["public_key"])})
