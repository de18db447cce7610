"""Writes CSV (RFC 4180) whose text no spreadsheet takes for a formula. All CSV is written here."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

_SIGNS: Final = "=+-@＝＋－＠"
"""What begins so is a formula to a spreadsheet, and may fetch or run things (OWASP, "CSV
Injection"); some take the fullwidth forms of Unicode for the same."""
_SUSPECT: Final = frozenset(
    f"{_SIGNS}\t\r\n\v\f \N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\ufeff\u200b\0"
)
"""How a formula begins, or what a spreadsheet may skip before one."""
_CONTROLS: Final = ("\t", "\r", "\n")
_SKIPPED: Final = "".join(_SUSPECT - set(_SIGNS))
_AS_THEY_ARE: Final = frozenset({int, bool, type(None)})


def lines(rows: Iterable[Sequence[object]], end: str = "\r\n") -> bytes:
    """Return rows of text, numbers, times and None, in UTF-8.

    Amounts come as `Decimal`: text is never taken for a number.
    """
    return as_text(rows, end).encode()


def as_text(rows: Iterable[Sequence[object]], end: str = "\r\n") -> str:
    """Return what `lines` does, as text."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows(map(_cells, rows))
    return text.getvalue()


def as_it_is(cell: str) -> str:
    """Return a cell without the apostrophe that `lines` writes before what looks like a formula."""
    return cell[1:] if cell[:1] == "'" and _is_formula(cell[1:]) else cell


def harmless(text: str) -> str:
    """Return CSV that somebody else wrote, with no formula; the same text if it has none."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not any(_is_formula(cell) for row in rows for cell in row):
        return text
    return as_text(rows, "\n")


def _cells(row: Sequence[object]) -> list[object]:
    # Most values are text that needs no look but at its first character, or numbers: to call a
    # function for each would take twice as long.
    return [
        (f"'{value}" if value[:1] in _SUSPECT and _is_formula(value) else value)
        if type(value) is str
        else (value if type(value) in _AS_THEY_ARE else _other(value))
        for value in row
    ]


def _other(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return _cells([str.__str__(value)])[0] if isinstance(value, str) else value


def _is_formula(text: str) -> bool:
    # An apostrophe makes a spreadsheet take the rest as text.
    return text.startswith(_CONTROLS) or text.lstrip(_SKIPPED).startswith(tuple(_SIGNS))
