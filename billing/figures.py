"""Describes one figure of a call record: what it is, whose business it is, and where it is shown.

A figure is a field of a struct, annotated with its `Figure`; `billing.cdr` has them all. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, Flag, auto
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec


class Unit(Enum):
    """What a figure is: how it is stored, and how it is written for people."""

    SECONDS = auto()
    COUNT = auto()
    """A whole number, 0 or more; also a code."""
    MICROS = auto()
    """Money of the call's currency, in millionths."""
    RATIO = auto()
    """A share, 0 to 1."""
    TEXT = auto()
    TIME = auto()


NUMBERS: Final = frozenset({Unit.SECONDS, Unit.COUNT, Unit.MICROS, Unit.RATIO})
"""Units of which no value is below zero."""


class Shown(Flag):
    """Where a figure appears by itself, without a line of code that names it."""

    NOWHERE = 0
    """Or as a part of something else, which names it."""
    API = auto()
    """In an ended call of the API, and so in the webhook `call.ended`."""
    CSV = auto()
    """As a column of the holder's calls as CSV, after the others."""
    PAGE = auto()
    """On the holder's page of one call."""
    OPERATOR = auto()
    """In `caller calls show`."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a call record."""

    unit: Unit
    shown: Shown = Shown.NOWHERE
    example: Any = None
    """Its value in the example of the webhook, as JSON; of those that the API shows."""
    column: str = ""
    """Its column of the table `calls`; by default the field's name. Its words are those of the data
    map: `field.<column>`."""
    is_withheld: bool = False
    """Whether it concerns the operator alone: no export has it."""
    is_of_operation: bool = False
    """Whether it says how the call was carried, not how it went; such come last in the data map."""
    name: str = ""
    """The field's name; `figures_of` fills it in."""
    type: Any = None
    """The field's type; `figures_of` fills it in."""
    is_measured: bool = False
    """Whether it is None where it was not measured; `figures_of` fills it in.

    Whatever stores records writes, reads and forgets such figures by this table. The others have
    rules of their own.
    """

    def to_column(self, value: Any) -> Any:
        """Return what the column of a measured figure has for a value: no text is empty."""
        return "" if value is None and self.unit is Unit.TEXT else value

    def from_column(self, value: Any) -> Any:
        """Return the value of a measured figure that its column says."""
        return None if value == "" and self.unit is Unit.TEXT else value


def figures_of(struct: type[msgspec.Struct]) -> Mapping[str, Figure]:
    """Return the annotated fields of a struct: name -> figure, in the order of the fields."""
    hints = get_type_hints(struct, include_extras=True)
    found: dict[str, Figure] = {}
    for field in msgspec.structs.fields(struct):
        if get_origin(hint := hints[field.name]) is not Annotated:
            continue
        plain, *notes = get_args(hint)
        # What msgspec itself reads, such as bounds and a description, stays with the type.
        metas = [each for each in notes if isinstance(each, msgspec.Meta)]
        for figure in notes:
            if isinstance(figure, Figure):
                found[field.name] = replace(
                    figure,
                    name=field.name,
                    column=figure.column or field.name,
                    type=Annotated[(plain, *metas)] if metas else plain,
                    is_measured=field.default is None,
                )
    return found
