"""Declares the steps of `caller setup`: questions asked together, and the check of their answers.

`gateway.roles.setup` lists those of every gateway; a carrier brings its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Final

from gateway.finding import Finding
from gateway.secret import Secret
from gateway.settings import PREFIX, Settings

_FIELDS: Final = {knob.name: knob for knob in fields(Settings)}


@dataclass(frozen=True, slots=True)
class Question:
    """A question for one setting."""

    field: str
    """Its name in `Settings`."""
    words: str
    is_needed: bool = False
    """Whether it must have a value; others may be left out for their default."""
    only_with: str = ""
    """The setting without which this one has no effect."""

    @property
    def name(self) -> str:
        """The setting's variable."""
        return PREFIX + self.field.upper()

    @property
    def is_secret(self) -> bool:
        """Whether its value is never shown."""
        return isinstance(_FIELDS[self.field].default, Secret)

    @property
    def default(self) -> str:
        """The value that applies if nothing is set; empty for a secret."""
        return "" if self.is_secret else str(_FIELDS[self.field].default)


@dataclass(frozen=True, slots=True)
class SetupStep:
    """Questions that are asked, and corrected, together."""

    title: str
    questions: tuple[Question, ...]
    check: Callable[[Settings], Awaitable[list[Finding]]]
    """Tries the answers."""
