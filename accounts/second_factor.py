"""Describes a person's second factor: an authenticator app, and codes for whoever has lost it.

Shapes only: knows no store, and no form of a code (`totp`, `recovery_codes`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

CODES_LEFT_FEW: Final = 2
"""From so many unused recovery codes on a person is asked to make new ones."""


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What is kept of a second factor."""

    secret: bytes = field(repr=False)
    """What the app shares with us: from it both make the codes."""
    last_step: int
    """Time step of the last code that was used (RFC 6238, 5.2)."""
    added_at: datetime
    codes_left: int
    """Recovery codes that were not used yet."""
