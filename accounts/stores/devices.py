"""Stores the browsers a holder has signed in from (family and last country only), in SQL.

The functions run on the caller's connection, with the holder's lock held.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.holder import Device
from accounts.stores import tables

DEVICES_MAX = 50
"""Devices kept per holder. A browser without cookies is another device at each sign-in."""

_DEVICES = tables.devices


class Seen(Enum):
    """How well a device was known when it was seen."""

    BEFORE = "before"
    FIRST_OF_ALL = "first_of_all"
    """No device of the holder is kept."""
    NEW = "new"


async def note(connection: AsyncConnection, account_id: str, device: Device) -> Seen:
    """Note a sign-in from a device; beyond `DEVICES_MAX` the one seen longest ago is dropped."""
    mine = _DEVICES.c.account_id == account_id
    updated = await connection.execute(
        sa.update(_DEVICES)
        .where(mine, _DEVICES.c.id == device.id)
        # The browser is known by its id, so its family never changes.
        .values(
            browser=device.browser,
            system=device.system,
            country=device.country,
            last_seen_at=device.last_seen_at,
        )
        .returning(_DEVICES.c.id)
    )
    if updated.scalar() is not None:
        return Seen.BEFORE
    known = await connection.scalar(sa.select(sa.func.count()).select_from(_DEVICES).where(mine))
    await connection.execute(
        sa.insert(_DEVICES).values(
            account_id=account_id,
            id=device.id,
            browser=device.browser,
            system=device.system,
            country=device.country,
            first_seen_at=device.first_seen_at,
            last_seen_at=device.last_seen_at,
        )
    )
    latest = (
        sa.select(_DEVICES.c.id)
        .where(mine)
        .order_by(_DEVICES.c.last_seen_at.desc(), _DEVICES.c.id)
        .limit(DEVICES_MAX)
    )
    await connection.execute(sa.delete(_DEVICES).where(mine, _DEVICES.c.id.not_in(latest)))
    return Seen.NEW if known else Seen.FIRST_OF_ALL


async def of_account(connection: AsyncConnection, account_id: str) -> Sequence[Device]:
    """Return a holder's devices, the last seen first."""
    columns = [column for column in _DEVICES.c if column.name != "account_id"]
    rows = await connection.execute(
        sa.select(*columns)
        .where(_DEVICES.c.account_id == account_id)
        .order_by(_DEVICES.c.last_seen_at.desc(), _DEVICES.c.id)
    )
    return [Device(**row._asdict()) for row in rows]


async def forget_since(connection: AsyncConnection, account_id: str, since: datetime) -> None:
    """Forget the devices that were first seen then or later."""
    await connection.execute(
        sa.delete(_DEVICES).where(
            _DEVICES.c.account_id == account_id, _DEVICES.c.first_seen_at >= since
        )
    )


async def forget(connection: AsyncConnection, account_id: str, device_id: str) -> bool:
    """Forget a device; False if there is none."""
    forgotten = await connection.execute(
        sa.delete(_DEVICES)
        .where(_DEVICES.c.account_id == account_id, _DEVICES.c.id == device_id)
        .returning(_DEVICES.c.id)
    )
    return forgotten.scalar() is not None
