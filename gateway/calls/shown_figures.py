"""Writes the figures of an ended call for people and for spreadsheets, each by its unit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.cdr import CallClosed
from billing.figures import Figure, Unit
from billing.money import format_money, in_units


def measured(closed: CallClosed | None, figures: Iterable[Figure]) -> Iterator[tuple[Figure, Any]]:
    """Yield in order which of the figures were measured; none before the end is booked."""
    for figure in figures:
        if (value := getattr(closed, figure.name, None)) is not None:
            yield figure, value


def text_of(figure: Figure, value: Any, currency: str) -> str:
    """Return a measured value for people, with its unit."""
    match figure.unit:
        case Unit.SECONDS:
            return f"{value} s"
        case Unit.MICROS:
            return format_money(value, currency)
        case Unit.RATIO:
            return f"{value:.1%}"
        case Unit.TIME:
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return str(value)


def cell_of(figure: Figure, closed: CallClosed | None) -> object:
    """Return the cell of a figure in the CSV; empty for what was not measured."""
    value = getattr(closed, figure.name, None)
    if value is None:
        return ""
    match figure.unit:
        case Unit.MICROS:
            return Decimal(in_units(value))
        case Unit.TIME:
            return time_cell(value)
    return value


def time_cell(at: datetime | None) -> str:
    """Return a moment as the CSV has it; empty for none."""
    return "" if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")
