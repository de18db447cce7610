"""Runs one statement for many rows.

SQLAlchemy handles the parameters of each row by name, which takes longer than SQLite needs for the
row. Here it makes the statement's text once for a dialect; the rows go to the driver as it takes
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

STATEMENTS_MAX = 64
"""Statements that are kept compiled: several times those that are run this way."""

_Row = Mapping[str, Any]
_Convert = Callable[[Any], Any]


def execute_many(connection: sa.Connection, statement: sa.UpdateBase, rows: Sequence[_Row]) -> None:
    """Run an INSERT or UPDATE once for each row, as `connection.execute` does; none is no error.

    The statement must be one that is kept: it is compiled once for each object. All rows have the
    names of the first, two at least.
    """
    if not rows:
        return
    text, names, converted = _compiled(statement, connection.dialect, tuple(rows[0]))
    values = list(map(itemgetter(*names), rows))
    if converted:
        values = [_convert(row, converted) for row in values]
    connection.exec_driver_sql(text, values)


@lru_cache(STATEMENTS_MAX)
def _compiled(
    statement: sa.UpdateBase, dialect: Dialect, keys: Sequence[str]
) -> tuple[str, Sequence[str], Sequence[tuple[int, _Convert]]]:
    """Return the text, the names of its parameters in order, and what converts which of them."""
    compiled = statement.compile(dialect=dialect, column_keys=list(keys))
    names = compiled.positiontup
    assert names is not None, "each driver here takes values by place"
    types = [compiled.binds[name].type.dialect_impl(dialect) for name in names]
    converts = [type_.bind_processor(dialect) for type_ in types]
    return str(compiled), names, [(i, it) for i, it in enumerate(converts) if it is not None]


def _convert(row: Sequence[Any], converted: Sequence[tuple[int, _Convert]]) -> Sequence[Any]:
    values = list(row)
    for place, convert in converted:
        values[place] = convert(values[place])
    return tuple(values)
