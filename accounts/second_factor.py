"""Describes a person's second factor: an authenticator app, and codes in case it is lost.

`totp` and `recovery_codes` define what a code looks like.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

CODES_LEFT_FEW: Final = 2
"""With this many unused recovery codes or fewer, a person is asked to make new ones."""


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A second factor as it is stored."""

    secret: bytes = field(repr=False)
    """The secret shared with the app, from which both make the codes."""
    last_step: int
    """Time step of the last used code (RFC 6238, 5.2)."""
    added_at: datetime
    codes_left: int
    """Number of unused recovery codes."""
