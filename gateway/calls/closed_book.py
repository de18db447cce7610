"""What a node refuses to dial as high risk, kept up to date with the list that was synced.

Knows no database and no carrier: what keeps the lists is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import structlog

from gateway.call.high_risk import ClosedList
from gateway.heartbeat.refreshed import Refreshed

log = structlog.get_logger(__name__)


class _SyncedList(Protocol):
    @property
    def version(self) -> int: ...

    @property
    def prefixes(self) -> Mapping[str, str]: ...


class HighRiskLists(Protocol):
    """The carrier's lists. Raises StoreUnavailableError."""

    async def version(self) -> int | None:
        """Return the version in force; None where none was ever synced."""

    async def newest(self) -> _SyncedList | None:
        """Return the list in force."""


class ClosedBook(Refreshed):
    """The closed list in use; another replaces it whole."""

    NAME = "high-risk list"

    def __init__(self, lists: HighRiskLists, opened: Iterable[str]) -> None:
        """Take the prefixes that the operator opens."""
        super().__init__()
        self._lists = lists
        self._opened = tuple(opened)
        self._version: int | None = None
        self.closed = ClosedList(self._opened)

    async def load(self) -> None:
        """Take the list in force into use, at a node's start. Raises StoreUnavailableError."""
        if await self._lists.version() == self._version:
            return
        found = await self._lists.newest()
        if found is None:
            return
        self.closed = ClosedList(self._opened, found.prefixes)
        self._version = found.version
        log.info("high-risk list in use", version=found.version, prefixes=len(found.prefixes))
