"""Writes rows as CSV (RFC 4180) that a spreadsheet reads as what they are. Knows no request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

# OWASP, "CSV Injection": what begins so is a formula to a spreadsheet, and may fetch or run things.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_QUOTED: Final = re.compile(r'[",\r\n]')


def line(cells: Sequence[str]) -> str:
    """Return one row with its end of line."""
    return ",".join(map(_cell, cells)) + "\r\n"


def lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows, in UTF-8."""
    return "".join(map(line, rows)).encode()


def _cell(text: str) -> str:
    # An apostrophe makes a spreadsheet take the rest as text; numbers it may take as numbers.
    if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
