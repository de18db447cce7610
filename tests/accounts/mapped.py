"""What the data map says, as a test compares it with what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from accounts.personal_data import KindOfData


def columns_of(kinds: Iterable[KindOfData]) -> Mapping[str, str]:
    """Return `table.column` -> the kind that it belongs to.

    Raises ValueError for a column of two kinds, unless it is the key that leads to the person.
    """
    found: dict[str, str] = {}
    for kind in kinds:
        for columns in kind.sql:
            for column in columns:
                if column in found and column != f"{columns.table}.{columns.key}":
                    raise ValueError(f"{column} is of two kinds: {found[column]}, {kind.name}")
                found.setdefault(column, kind.name)
    return found


def unmapped(present: Iterable[str], mapped: Iterable[str]) -> tuple[str, ...]:
    """Return what is present and in no entry of the map, in order."""
    return tuple(sorted(set(present) - set(mapped)))
