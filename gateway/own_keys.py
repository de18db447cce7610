"""Defines the API keys that people make for themselves, and the port that stores them.

Shapes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from accounts.notice import Notice
from gateway.scopes import Scope


@dataclass(frozen=True, slots=True)
class OwnKey:
    """An API key as shown to the person whose account has it."""

    id: str
    label: str
    created_at: datetime
    day_cap_micros: int | None
    """Most that its calls may cost in one UTC day; None for no cap."""
    scopes: frozenset[Scope]
    expires_at: datetime | None
    """None for never."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made."""

    key_hash: str
    """SHA-256 in hexadecimal."""
    label: str
    scopes: frozenset[Scope]
    day_cap_micros: int | None
    expires_at: datetime | None


class KeyMaking(Enum):
    """The outcome of making a key."""

    MADE = "made"
    """Or made before, by the same form."""
    REVOKED = "revoked"
    """Made before, and revoked since."""
    TOO_MANY = "too_many"
    SESSION_OVER = "session_over"


class HolderKeys(Protocol):
    """The API keys of people. Every method raises StoreUnavailableError."""

    async def standing(self, account_id: str) -> Sequence[OwnKey]:
        """Return an account's keys that are not revoked, newest first."""

    async def make(
        self, account_id: str, credentials_epoch: int, new: NewKey, notice: Notice
    ) -> KeyMaking:
        """Make a key with the mail about it; a repeat makes no second one."""

    async def revoke(self, account_id: str, credentials_epoch: int, key_id: str) -> bool:
        """Revoke a key; False if the session is over. A repeat changes nothing."""
