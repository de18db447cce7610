"""Keeps a node's list of closed high-risk destinations up to date with the last one synced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import structlog

from gateway.call.high_risk import ClosedList
from gateway.heartbeat.cached import Refreshed

log = structlog.get_logger(__name__)


class _SyncedList(Protocol):
    @property
    def version(self) -> int: ...

    @property
    def prefixes(self) -> Mapping[str, str]: ...


class HighRiskLists(Protocol):
    """The lists read from the carrier. Raises StoreUnavailableError."""

    async def version(self) -> int | None:
        """Return the version in force; None if no list was ever synced."""

    async def newest(self) -> _SyncedList | None:
        """Return the list in force."""


class ClosedDestinations(Refreshed):
    """The closed list in use; a new one replaces it as a whole."""

    NAME = "high-risk list"

    def __init__(self, lists: HighRiskLists, opened: Iterable[str]) -> None:
        """Take the prefixes that the operator opens."""
        super().__init__()
        self._lists = lists
        self._opened = tuple(opened)
        self._version: int | None = None
        self.closed = ClosedList(self._opened)

    async def load(self) -> None:
        """Start using the list in force, at a node's start. Raises StoreUnavailableError."""
        # The version alone first: a list has thousands of prefixes and is checked every 15 s.
        if await self._lists.version() == self._version:
            return
        found = await self._lists.newest()
        if found is None:
            # If a list cannot be read, the present one stays: no list would open its numbers.
            return
        self.closed = ClosedList(self._opened, found.prefixes)
        # Of what was read, which may be newer than the version that was checked first.
        self._version = found.version
        log.info("high-risk list in use", version=found.version, prefixes=len(found.prefixes))
