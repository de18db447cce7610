"""Stores second factors and their recovery codes in SQL.

The functions run on the caller's connection; those that change something need the holder's lock.
The caller seals the secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.stores import tables

_FACTORS = tables.second_factors
_CODES = tables.recovery_codes


@dataclass(frozen=True, slots=True)
class SealedFactor:
    """A second factor as it is stored."""

    sealed_secret: str
    last_step: int
    added_at: datetime
    codes_left: int


async def find(connection: AsyncConnection, account_id: str) -> SealedFactor | None:
    """Return a holder's second factor."""
    columns = (_FACTORS.c.sealed_secret, _FACTORS.c.last_step, _FACTORS.c.added_at)
    query = sa.select(*columns, _left(account_id).label("codes_left"))
    row = (await connection.execute(query.where(_FACTORS.c.account_id == account_id))).first()
    return None if row is None else SealedFactor(**row._asdict())


async def add(
    connection: AsyncConnection, account_id: str, sealed_secret: str, step: int, at: datetime
) -> None:
    """Add a second factor; there must be none."""
    row = {"account_id": account_id, "sealed_secret": sealed_secret}
    await connection.execute(sa.insert(_FACTORS).values(row | {"last_step": step, "added_at": at}))


async def replace_codes(
    connection: AsyncConnection, account_id: str, digests: Sequence[str]
) -> None:
    """Replace the recovery codes."""
    await connection.execute(sa.delete(_CODES).where(_CODES.c.account_id == account_id))
    rows = [{"account_id": account_id, "digest": digest} for digest in digests]
    await connection.execute(sa.insert(_CODES), rows)


async def remove(connection: AsyncConnection, account_id: str) -> bool:
    """Remove a second factor and its recovery codes; False if there is none."""
    await remove_codes(connection, account_id)
    removed = await connection.execute(
        sa.delete(_FACTORS)
        .where(_FACTORS.c.account_id == account_id)
        .returning(_FACTORS.c.account_id)
    )
    return removed.scalar() is not None


async def remove_codes(connection: AsyncConnection, account_id: str) -> None:
    """Remove the recovery codes of a second factor, which itself stays."""
    await connection.execute(sa.delete(_CODES).where(_CODES.c.account_id == account_id))


async def use_step(
    connection: AsyncConnection, account_id: str, step: int, sealed_secret: str
) -> bool:
    """Store the step of a right code, and the secret as newly sealed, in one step.

    False if that step, or a later one, was used.
    """
    used = await connection.execute(
        sa.update(_FACTORS)
        .where(_FACTORS.c.account_id == account_id, _FACTORS.c.last_step < step)
        .values(last_step=step, sealed_secret=sealed_secret)
        .returning(_FACTORS.c.account_id)
    )
    return used.scalar() is not None


async def use_code(connection: AsyncConnection, account_id: str, digest: str) -> int | None:
    """Use a recovery code up; return how many are left, None if there is no such code."""
    used = await connection.execute(
        sa.delete(_CODES)
        .where(_CODES.c.account_id == account_id, _CODES.c.digest == digest)
        .returning(_CODES.c.digest)
    )
    if used.scalar() is None:
        return None
    return int((await connection.execute(sa.select(_left(account_id)))).scalar_one())


def _left(account_id: str) -> sa.ScalarSelect[int]:
    query = sa.select(sa.func.count()).select_from(_CODES)
    return query.where(_CODES.c.account_id == account_id).scalar_subquery()
