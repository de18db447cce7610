"""Declares the pages of API keys; each dataclass is all that its template gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key in the list."""

    id: str
    label: str
    created_at: datetime
    scopes: Sequence[str]
    """Keys of the words under `scope.`."""
    day_cap: str
    """As money; empty for none."""
    expires_at: datetime | None
    is_expired: bool


@dataclass(frozen=True, slots=True)
class KeysPage:
    """The keys of an account."""

    template: ClassVar[str] = "keys.html"
    keys: Sequence[KeyRow]
    said: str = ""


@dataclass(frozen=True, slots=True)
class NewKeyPage:
    """The form that creates a key."""

    template: ClassVar[str] = "new_key.html"
    once: str
    scopes: Sequence[str]
    """All available ones: keys of the words under `scope.`."""
    days: Sequence[int]
    label: str = ""
    chosen: frozenset[str] = frozenset()
    day_cap: str = ""
    chosen_days: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyMadePage:
    """A new key, shown this once."""

    template: ClassVar[str] = "key_made.html"
    label: str
    key: str = field(repr=False)
