"""Caches data of the stores: accounts until they may have changed, shared data while refreshed.

What was read about an account is valid only in the key epoch in which it was read: each change of a
key, an account or a person's credentials ends the epoch for all processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import ClassVar, Final, Generic, NamedTuple, TypeVar

import structlog

from billing.errors import BillingError
from database.errors import StoreUnavailableError
from gateway.ports import KeyEpochs

_AWAY: Final = (
    "SQL does not answer: `caller check` says why. What is in use stays, and it is tried again by"
    " itself."
)
_UNREADABLE: Final = (
    "What SQL holds cannot be read: import it again (`caller rates import`, `caller rates"
    " sync-high-risk`). What is in use stays."
)

log = structlog.get_logger(__name__)

_Value = TypeVar("_Value")


class _CachedValue(NamedTuple, Generic[_Value]):
    value: _Value
    epoch: str
    asked_ns: int


class Remembered(Generic[_Value]):
    """Values by name; if there are too many, the oldest are forgotten."""

    def __init__(self, epochs: KeyEpochs, count_max: int) -> None:
        self._epochs = epochs
        self._count_max = count_max
        self._kept: OrderedDict[str, _CachedValue[_Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: str) -> bool:
        """Whether anything is cached under this name, of any epoch and age."""
        return name in self._kept

    async def epoch(self) -> str:
        """Return the key epoch; ask before reading the values to be kept in it.

        A change in between makes those values invalid. Empty while the store is away, which matches
        nothing in the cache.
        """
        try:
            return await self._epochs.current()
        except StoreUnavailableError:
            return ""

    def find(self, name: str, epoch: str, now_ns: int, age_ns_max: int) -> _Value | None:
        """Return what was read in this epoch, at most `age_ns_max` ago."""
        kept = self._kept.get(name)
        if kept is None or kept.epoch != epoch or now_ns - kept.asked_ns >= age_ns_max:
            return None
        return kept.value

    def keep(self, name: str, value: _Value, epoch: str, asked_ns: int) -> None:
        """Cache what was read in an epoch; without an epoch nothing, as it would never expire."""
        if not epoch:
            return
        self._kept.pop(name, None)
        self._kept[name] = _CachedValue(value, epoch, asked_ns)
        if len(self._kept) > self._count_max:
            self._kept.popitem(last=False)

    def forget(self, name: str) -> None:
        """Forget what is cached under a name, if anything."""
        self._kept.pop(name, None)


class Refreshed(ABC):
    """Base class of a node's cached copy of shared data, which is only ever replaced as a whole."""

    NAME: ClassVar[str]
    """Its name in the log."""

    def __init__(self) -> None:
        self._failure = ""

    @abstractmethod
    async def load(self) -> None:
        """Load the version in force, at start. Raises BillingError, StoreUnavailableError."""

    async def refresh(self) -> None:
        """Look for a newer version; keep the present one if there is none.

        Raises neither error: a failure is logged, once per outage.
        """
        failure = ""
        try:
            await self.load()
        except (BillingError, StoreUnavailableError) as error:
            failure = error.code
        # Another code means another fault: a store that is back may hold data that cannot be read.
        if failure and failure != self._failure:
            hint = _AWAY if failure == StoreUnavailableError.code else _UNREADABLE
            log.error("shared data not refreshed", what=self.NAME, code=failure, hint=hint)
        self._failure = failure
