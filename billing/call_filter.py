"""Says which of an account's calls are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billing.cdr import EndedBy


@dataclass(frozen=True, slots=True)
class CallFilter:
    """What a call must be like; what is left out may be anything."""

    since: datetime | None = None
    """Begun then or later."""
    until: datetime | None = None
    """Begun before that."""
    digits: str = ""
    """Part of the number: ASCII digits."""
    answered: bool | None = None
    """Of ended calls: whether the callee picked up."""
    causes: frozenset[int] = frozenset()
    """One of these causes ended it."""
    ended_by: EndedBy | None = None


ANY_CALL: Final = CallFilter()
