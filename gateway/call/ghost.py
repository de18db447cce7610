"""Describes ghosts: calls at the carrier that were made for us but that no node has any more.

They cost money until they are ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

GHOSTS_MAX: Final = 1_000
"""Most carrier calls that may wait to be ended; further ones are not added."""


class Ghost(msgspec.Struct, frozen=True, kw_only=True):
    """A carrier call that was made for us and now rings or talks with no one on our side."""

    call_id: str
    """Our call that it was made for."""
    node: str
    """The node that this call belongs to."""
    noted_s: float
    due_s: float
    """When to try next to end it. Both are wall-clock seconds, on which the nodes agree."""


class GhostStore(Protocol):
    """The list of ghosts that all nodes share. Raises StoreUnavailableError."""

    async def note(self, carrier_call_id: str, ghost: Ghost) -> Ghost | None:
        """Add a ghost and return it, or the one already there; None if the list is full."""

    async def all(self) -> Mapping[str, Ghost]:
        """Return the ghosts by carrier call id."""

    async def claim(self, carrier_call_id: str, seen: Ghost, claimed: Ghost) -> bool:
        """Replace `seen` with `claimed`; return False if another node got there first."""

    async def forget(self, carrier_call_id: str) -> None:
        """Remove a ghost from the list."""
