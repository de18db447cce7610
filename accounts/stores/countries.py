"""Stores in SQL which countries a holder has opened for their calls.

The functions run on the caller's connection, with the holder's lock held.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.stores import tables
from database.engine import upsert

_COUNTRIES = tables.opened_countries


async def of_account(connection: AsyncConnection, account_id: str) -> frozenset[str]:
    """Return the countries as ISO 3166 alpha-2; bounded by the number of countries."""
    found = sa.select(_COUNTRIES.c.country).where(_COUNTRIES.c.account_id == account_id)
    return frozenset(await connection.scalars(found))


async def open_country(
    connection: AsyncConnection, account_id: str, country: str, at: datetime
) -> bool:
    """Open a country; False, and nothing changes, if it is already open."""
    opened = await connection.execute(
        upsert(connection, _COUNTRIES)
        .values(account_id=account_id, country=country, opened_at=at)
        .on_conflict_do_nothing()
        .returning(_COUNTRIES.c.country)
    )
    return opened.scalar() is not None


async def close_since(
    connection: AsyncConnection, account_id: str, since: datetime
) -> Sequence[str]:
    """Close the countries that were opened then or later; return them."""
    closed = await connection.scalars(
        sa.delete(_COUNTRIES)
        .where(_COUNTRIES.c.account_id == account_id, _COUNTRIES.c.opened_at >= since)
        .returning(_COUNTRIES.c.country)
    )
    return closed.all()


async def close_country(connection: AsyncConnection, account_id: str, country: str) -> bool:
    """Close a country; False if it is not open."""
    closed = await connection.execute(
        sa.delete(_COUNTRIES)
        .where(_COUNTRIES.c.account_id == account_id, _COUNTRIES.c.country == country)
        .returning(_COUNTRIES.c.country)
    )
    return closed.scalar() is not None
