"""Defines the operator's consoles; their tables stay readable in a narrow terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


class WholeWords(Console):
    """A console that breaks no word in a table: an id that is cut cannot be typed or pasted."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does; a table is at least as wide as its longest words together."""
        for table in objects:
            if isinstance(table, Table) and table.columns:
                _keep_words_whole(table, self)
                # Rich would cut wide lines; a terminal merely wraps them.
                options["crop"] = False
        super().print(*objects, **options)


def _keep_words_whole(table: Table, console: Console) -> None:
    """Set the column widths of a table; Rich itself narrows the widest ones, breaking words."""
    wide = console.options.update(max_width=_ANY_WIDTH)
    ranges = [
        [Measurement.get(console, wide, cell) for cell in (column.header, *column.cells)]
        for column in table.columns
    ]
    least = [max(each.minimum for each in column) for column in ranges]
    most = [max(each.maximum for each in column) for column in ranges]
    # Borders and padding, which Rich reports only for the whole table.
    frame = Measurement.get(console, wide, table).maximum - sum(most)
    # It fits, so Rich decides.
    if frame + sum(most) <= console.width:
        return
    for _ in range(console.width - frame - sum(least)):
        # The remaining width goes to the columns that need least, so that few of them wrap.
        at = min((m - n, i) for i, (m, n) in enumerate(zip(most, least, strict=True)) if m > n)[1]
        least[at] += 1
    for column, width in zip(table.columns, least, strict=True):
        column.width = width
    table.width = frame + sum(least)


_ANY_WIDTH = 100_000

# Output may contain anything that an operator typed or a vendor sent: none of it is markup.
out = WholeWords(markup=False, highlight=False, emoji=False)
err = WholeWords(stderr=True, markup=False, highlight=False, emoji=False)
