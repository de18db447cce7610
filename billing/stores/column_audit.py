"""Audits every value for whether it can be read at all.

SQLite stores values of any type in any column. A value that the gateway cannot read is reported,
and hidden from the other rules, so that they can judge all the other values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.payments import PaymentState
from billing.reconcile import Disagreement
from billing.stores import tables
from billing.stores.findings import FINDINGS_MAX
from database.columns import UtcDateTime

UNREADABLE: Final = "value that cannot be read"
ADVICE: Final = (
    "Correct the value in the row: what it was says another row of the same call, payment or"
    " credit, or a copy of the database. Then audit again."
)

_DIGIT: Final = "[0-9]"
_MOMENT: Final = "YYYY-YY-YY YY:YY:YY.YYYYYY".replace("Y", _DIGIT)
"""A time as SQLAlchemy writes it to SQLite. Only in this form do times sort correctly as text."""
_BEYOND_ASCII: Final = "*[^\x01-\x7f]*"
"""Matches text with a character beyond ASCII before its first NUL, where GLOB stops reading."""
_CHOICES: Final[Mapping[sa.Column[Any], Collection[str]]] = {
    tables.payments.c.state: [state.value for state in PaymentState],
}


async def unreadable(connection: AsyncConnection) -> list[Disagreement]:
    """Return the values that cannot be read, by table, row and column."""
    found: list[Disagreement] = []
    dialect = connection.dialect.name
    for table in tables.metadata.sorted_tables:
        named = [column for column, _ in _faults(dialect, table)]
        if not named:
            continue
        keys = len(table.primary_key)
        for row in await connection.execute(_unreadable_rows(dialect, table)):
            subject = f"{table.name} {' '.join(map(str, row[:keys]))}"
            whose = f"account {row[keys]}, " if list(_accounts(table)) else ""
            names = ", ".join(
                column.name
                for column, is_bad in zip(named, row[-len(named) :], strict=True)
                if is_bad
            )
            found.append(Disagreement(UNREADABLE, subject, f"{whose}column {names}"))
    return found


@cache
def _unreadable_rows(dialect: str, table: sa.Table) -> sa.Select[Any]:
    """Return the query of the rows' keys and accounts, and of which columns are unreadable."""
    faults = _faults(dialect, table)
    columns: Sequence[sa.ColumnElement[Any]] = (
        *(_named(dialect, column) for column in table.primary_key),
        *(_named(dialect, column).label("account") for column in _accounts(table)),
        *(fault.label(f"in {column.name}") for column, fault in faults),
    )
    return (
        sa.select(*columns)
        .select_from(table)
        .where(sa.or_(*(fault for _, fault in faults)))
        .limit(FINDINGS_MAX)
    )


def is_readable(dialect: str, table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that every value of a row can be read."""
    return sa.not_(sa.or_(sa.false(), *(fault for _, fault in _faults(dialect, table))))


async def hide(connection: AsyncConnection) -> None:
    """Show this transaction of SQLite a blank in place of each value that cannot be read."""
    for table in tables.metadata.sorted_tables:
        faults = dict(_faults(connection.dialect.name, table))
        shown = (
            sa.case((faults[column], _blank(column)), else_=_as_kept(column)).label(column.name)
            for column in table.columns
        )
        # A temporary view stands before the table of its name, and goes with the transaction.
        named = sa.table(table.name, *(sa.column(c.name) for c in table.columns), schema="main")
        query = sa.select(*shown).select_from(named)
        # A view takes no parameters: the values are written into its text.
        text = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        await connection.exec_driver_sql(f"CREATE TEMPORARY VIEW {table.name} AS {text}")


def blank_out(connection: sa.Connection, *of: sa.Table) -> None:
    """Replace values that cannot be read by blanks, in a transaction of SQLite to be rolled back.

    Keys are not blanked but spelt in ASCII, so that each row stays distinct; a row whose key cannot
    be read belongs to nothing.
    """
    # Both sides of a foreign key change, one statement after the other.
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    for table in of:
        for blanking in _blankings(connection.dialect.name, table):
            connection.execute(blanking)


@cache
def _blankings(dialect: str, table: sa.Table) -> Sequence[sa.Update]:
    return [
        sa.update(table)
        .where(fault)
        .values(
            {
                column.name: _named(dialect, column)
                if column.primary_key or column.foreign_keys
                else _blank(column)
            }
        )
        for column, fault in _faults(dialect, table)
    ]


def _accounts(table: sa.Table) -> Iterator[sa.Column[Any]]:
    if "account_id" in table.c and not table.c.account_id.primary_key:
        yield table.c.account_id


def _as_kept(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return a column without its type, because its type's conversion would fail on bad values."""
    return sa.literal_column(f"{column.table.name}.{column.name}")


def _named(dialect: str, column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """Return a value as readable text; bytes that are no UTF-8 as a blob literal of SQLite."""
    kept = _as_kept(column)
    name = sa.cast(kept, sa.String)
    if dialect != "sqlite":
        return name
    # Blobs as well: a cast to text keeps their bytes, whatever these are.
    spelt: sa.ColumnElement[str] = "x'" + sa.func.hex(kept) + "'"
    return sa.case((_is_utf8(name), name), else_=spelt)


def _is_utf8(text: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return whether text is UTF-8; only text beyond plain ASCII is passed to Python."""
    content = sa.cast(text, sa.LargeBinary)
    # length() of text ends at the first NUL; that of its bytes does not.
    is_whole = sa.func.length(text) == sa.func.length(content)
    is_ascii = ~text.bool_op("GLOB")(_BEYOND_ASCII)
    return sa.case((is_whole & is_ascii, sa.true()), else_=sa.func.is_utf8(content))


@cache
def _faults(
    dialect: str, table: sa.Table
) -> Sequence[tuple[sa.Column[Any], sa.ColumnElement[bool]]]:
    """Return the columns that can hold unreadable values, with the condition that they do."""
    if dialect == "sqlite":
        return [
            # A comparison with NULL is NULL, which must not count as a fault.
            (column, sa.func.coalesce(_is_foreign(column, _as_kept(column)), sa.false()))
            for column in table.columns
        ]
    return [
        # PostgreSQL's types rule out everything else, but an enumeration here is plain text.
        (column, _as_kept(column).not_in(_CHOICES[column]))
        for column in table.columns
        if column in _CHOICES
    ]


def _is_foreign(column: sa.Column[Any], kept: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    kind = sa.func.typeof(kept)
    is_right: sa.ColumnElement[bool]
    if isinstance(column.type, UtcDateTime):
        # The pattern alone would accept month 13 and hour 99.
        is_moment = kept.op("GLOB")(_MOMENT)
        # strftime moves a day that its month does not have, such as 31 April, into the next month.
        same = sa.func.strftime("%Y-%m-%d %H:%M:%S", kept) == sa.func.substr(kept, 1, 19)
        is_right = (kind == "text") & is_moment & sa.func.coalesce(same, sa.false())
    elif isinstance(column.type, sa.Boolean):
        is_right = (kind == "integer") & kept.in_((0, 1))
    elif isinstance(column.type, sa.Integer):
        is_right = kind == "integer"
    elif column in _CHOICES:
        is_right = kept.in_(_CHOICES[column])
    else:
        is_right = (kind == "text") & _is_utf8(kept)
    # Whether NULL is allowed is the table's own constraint.
    return kept.is_not(None) & ~is_right


def _blank(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    if column.nullable:
        return sa.null()
    if isinstance(column.type, UtcDateTime):
        return sa.literal_column("'1970-01-01 00:00:00.000000'")
    return sa.literal_column("0" if isinstance(column.type, sa.Integer | sa.Boolean) else "''")
