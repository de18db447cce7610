"""Blanks the records of calls: whom they reached, and how it sounded. What they cost stays.

A husk is a call of which only the books' part is left. Functions on the caller's connection.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cdr import CallClosed, CallOpened, LegQuality, in_brief
from billing.stores import tables
from billing.stores.call_rows import closed_in, opened_in

BATCH_MAX: Final = 200
"""Calls of one transaction: another writer must not wait for long."""

_UNMEASURED: Final = msgspec.json.encode(LegQuality()).decode()
BLANKS: Final = {
    **dict.fromkeys(("node", "destination", "country", "codec", "origin"), ""),
    **dict.fromkeys(("cause_name", "carrier_call_id"), ""),
    "browser_quality": _UNMEASURED,
    "carrier_quality": _UNMEASURED,
}
"""Column -> what a husk has there. The quality of no leg is a record that can be read."""
_CALLS = tables.calls
_IS_WHOLE = sa.and_(_CALLS.c.closed, sa.or_(*(_CALLS.c[name] != BLANKS[name] for name in BLANKS)))


async def whole(connection: AsyncConnection, account_id: str) -> Sequence[sa.Row[Any]]:
    """Return ended calls of an account that are no husks, at most `BATCH_MAX`."""
    rows = await connection.execute(
        sa.select(_CALLS)
        .where(_CALLS.c.account_id == account_id, _IS_WHOLE)
        .order_by(_CALLS.c.created_at, _CALLS.c.id)
        .limit(BATCH_MAX)
    )
    return rows.all()


async def blank(connection: AsyncConnection, call_ids: Collection[str]) -> None:
    """Make husks of ended calls; a repeat changes nothing."""
    await connection.execute(
        sa.update(_CALLS).where(_CALLS.c.id.in_(call_ids), _IS_WHOLE).values(BLANKS)
    )


def husk(row: sa.Row[Any]) -> tuple[bytes, bytes]:
    """Return what a spend gate is to remember of a call: opening, and end in brief."""
    names = ("node", "destination", "country", "codec", "origin")
    opened: CallOpened = msgspec.structs.replace(opened_in(row), **dict.fromkeys(names, ""))
    closed: CallClosed = msgspec.structs.replace(closed_in(row), cause_name="", carrier_call_id="")
    return msgspec.json.encode(opened), in_brief(msgspec.json.encode(closed))
