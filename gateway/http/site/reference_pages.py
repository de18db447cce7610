"""Declares the pages of the API; the dataclasses are all that their templates get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body or an answer."""

    name: str
    kind: str
    """In words, such as `list of`, before the shape if there is one."""
    shape: str
    """Name of its shape, or of its items' shape; empty for a plain value."""
    words: str
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class SchemaShape:
    """The structure of a body or an answer."""

    name: str
    words: str
    fields: Sequence[Field]
    values: Sequence[str]
    """All values that a word may have."""


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """Why a request may be refused."""

    status: str
    code: str
    words: str


@dataclass(frozen=True, slots=True)
class OperationLine:
    """One operation among the others."""

    name: str
    method: str
    path: str
    summary: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation."""

    line: OperationLine
    words: str
    scope: str
    """The scope that a key needs; empty for none."""
    parameters: Sequence[Field]
    body: str
    """Name of the shape; empty for none."""
    status: str
    answers: Sequence[str]
    """Names of the shapes that an answer may have; none for no body."""
    links: Sequence[str]
    """Names of the operations that take something from the answer."""
    refusals: Sequence[RefusalRow]
    example: str
    """A shell command."""


@dataclass(frozen=True, slots=True)
class ReferencePage:
    """All operations of the API, by group."""

    template: ClassVar[str] = "reference.html"
    introduction: str
    groups: Sequence[tuple[str, Sequence[OperationLine]]]


@dataclass(frozen=True, slots=True)
class OperationPage:
    """One operation, and the shapes that it uses."""

    template: ClassVar[str] = "operation.html"
    entry: Entry
    shapes: Sequence[SchemaShape]
