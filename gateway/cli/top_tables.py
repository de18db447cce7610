"""Tables that fit any terminal: long names are cut first, then the least important columns go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

_PADDING: Final = 2
"""Padding beside each column."""


class Part(NamedTuple):
    """A column. The first one is what an operator types: it is always shown in full."""

    name: str
    goes: int = 0
    """Columns with the highest value are dropped first."""
    least: int | None = None
    """Length to which it is cut before any column is dropped; None: never."""
    justify: Literal["left", "right"] = "left"


class Row(NamedTuple):
    """The content of each column, and its style."""

    cells: Sequence[str]
    style: str | None = None


class Fitting:
    """A table drawn as wide as there is room."""

    def __init__(self, parts: Sequence[Part], rows: Sequence[Row]) -> None:
        self._parts = parts
        self._rows = [([Text(cell) for cell in row.cells], row.style) for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        widths = [
            max(len(part.name), *(cells[at].cell_len for cells, _ in self._rows), 0)
            for at, part in enumerate(self._parts)
        ]
        fitted = fit(self._parts, widths, options.max_width)
        table = Table(*(self._column(at, width) for at, width in fitted.items()), box=None)
        for cells, style in self._rows:
            table.add_row(*(cells[at] for at in fitted), style=style)
        yield table

    def _column(self, at: int, width: int) -> Column:
        part = self._parts[at]
        is_key = at == 0
        return Column(
            part.name,
            justify=part.justify,
            width=width,
            no_wrap=not is_key,
            # In two lines it can still be copied.
            overflow="fold" if is_key else "ellipsis",
        )


def fit(parts: Sequence[Part], widths: Sequence[int], room: int) -> dict[int, int]:
    """Return the columns to show, by position, and the width of each."""
    shown = dict(enumerate(widths))
    going = sorted(range(1, len(parts)), key=lambda at: parts[at].goes)
    while True:
        left = room - sum(width + _PADDING for width in shown.values())
        cut = dict(shown)
        for at, width in shown.items():
            least = parts[at].least
            if left < 0 and least is not None and least < width:
                cut[at] = max(least, width + left)
                left += width - cut[at]
        if left >= 0:
            return cut
        if not going:
            return {0: max(1, room - _PADDING)}
        del shown[going.pop()]
