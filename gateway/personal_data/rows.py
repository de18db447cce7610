"""Reads from SQL the personal rows that the data map lists, one page at a time.

The map says what is read, and by which column it is found; this module only orders the rows, so
that each page is one range of an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.personal_data import Columns, KindOfData, Via
from accounts.ports import Held
from accounts.stores import tables as people
from billing.stores import tables
from database.engine import TIMEOUT_S, reading
from gateway.apps import personal_rows
from gateway.data_map import KINDS
from gateway.stores import fraud
from gateway.stores.mail_outbox import mail_outbox

PAGE_ROWS: Final = 2_000
_OF_APPS: Final = personal_rows().values()

TABLES: Final[Mapping[str, sa.Table]] = {
    **people.metadata.tables,
    **tables.metadata.tables,
    **fraud.metadata.tables,
    mail_outbox.name: mail_outbox,
    **{table.name: table for rows in _OF_APPS for table in rows.tables},
}
"""Every table that the data map may name."""

_ORDER: Final[Mapping[str, tuple[str, ...]]] = {
    "calls": ("created_at", "id"),
    "transfers": ("at", "reference"),
    "payments": ("created_at", "id"),
    "mail_outbox": ("created_at", "id"),
    "credits": ("sequence",),
    **{name: order for rows in _OF_APPS for name, order in rows.order.items()},
}
"""Table -> what orders the rows of one account; for others the primary key."""

_MAILED: Final = frozenset({"links", "mails"})
"""Kinds that describe what was sent to a mailbox."""

_READABLE: Final = tuple(
    (kind, columns) for kind in KINDS if kind.is_exported for columns in kind.sql
)


@dataclass(frozen=True, slots=True)
class SqlRowPage:
    """Some rows of one table, in the order of the exported columns."""

    rows: Sequence[Sequence[Any]]
    after: tuple[Any, ...] | None
    """Where the next page begins; None after the last one."""


class SqlPersonalRows:
    """The rows in SQLite or PostgreSQL. Every method raises StoreUnavailableError."""

    def __init__(self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def count(self, kind: KindOfData, columns: Columns, account_id: str) -> int:
        """Return how many rows of a kind an account has in one table."""
        query = sa.select(sa.func.count()).where(*_conditions(kind, columns, account_id))
        async with reading(self._engine, self._timeout_s) as connection:
            return int(await connection.scalar(query) or 0)

    async def held(self, account_id: str, *, newest: int, count_max: int) -> Sequence[Held]:
        """Return what is stored about an account, table by table, as of one moment.

        For each table the newest rows, and the number of rows, counted no further than `count_max`.
        """
        found = []
        async with reading(self._engine, self._timeout_s) as connection:
            for kind, columns in _READABLE:
                table = TABLES[columns.table]
                mine = _conditions(kind, columns, account_id)
                some = sa.select(sa.literal(1)).select_from(table).where(*mine).limit(count_max)
                count = await connection.scalar(
                    sa.select(sa.func.count()).select_from(some.subquery())
                )
                order = (table.c[name].desc() for name in _order(table, columns))
                query = sa.select(*(table.c[name] for name in columns.exported))
                rows = await connection.execute(query.where(*mine).order_by(*order).limit(newest))
                found.append(Held(kind, columns, int(count or 0), [tuple(row) for row in rows]))
        return found

    async def page(
        self,
        kind: KindOfData,
        columns: Columns,
        account_id: str,
        *,
        after: tuple[Any, ...] | None = None,
        limit: int = PAGE_ROWS,
    ) -> SqlRowPage:
        """Return the rows of an account in one table after a given position."""
        table = TABLES[columns.table]
        order = [table.c[name] for name in _order(table, columns)]
        position = sa.tuple_(*order)
        query = (
            sa.select(*order, *(table.c[name] for name in columns.exported))
            .where(*_conditions(kind, columns, account_id))
            .order_by(*order)
            .limit(limit)
        )
        if after is not None:
            place = sa.tuple_(
                *(sa.literal(v, each.type) for v, each in zip(after, order, strict=True))
            )
            query = query.where(position > place)
        async with reading(self._engine, self._timeout_s) as connection:
            found = (await connection.execute(query)).all()
        count = len(order)
        last = tuple(found[-1][:count]) if len(found) == limit else None
        return SqlRowPage([row[count:] for row in found], last)


def _order(table: sa.Table, columns: Columns) -> tuple[str, ...]:
    if columns.table in _ORDER:
        return _ORDER[columns.table]
    keys = tuple(column.name for column in table.primary_key)
    # The account is the same in all of them; a table with no other key has one row per account.
    return tuple(name for name in keys if name != columns.key) or keys


def _conditions(
    kind: KindOfData, columns: Columns, account_id: str
) -> Sequence[sa.ColumnElement[bool]]:
    assert columns.via is Via.ACCOUNT, columns
    table = TABLES[columns.table]
    mine = [table.c[columns.key] == account_id]
    # A forgotten call no longer counts as a call; its charge does.
    if (kind.name, columns.table) == ("calls", "calls"):
        mine.append(table.c.forgotten_at.is_(None))
    if kind.name in _MAILED:
        # Someone who has not proven the address may not be its owner, who may be asking to get in.
        holders = people.holders.c
        proven = sa.exists().where(
            holders.account_id == account_id, holders.email_proven_at.is_not(None)
        )
        mine.append(proven)
    return mine
