"""Caches what was read about accounts until it may have changed.

A value is valid only in the key epoch in which it was read: each change of a key, an account or a
person's credentials ends the epoch for all processes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

from database.errors import StoreUnavailableError
from gateway.ports import KeyEpochs

_Value = TypeVar("_Value")


class _Kept(NamedTuple, Generic[_Value]):
    value: _Value
    epoch: str
    asked_ns: int


class Remembered(Generic[_Value]):
    """Values by name; if there are too many, the oldest are forgotten."""

    def __init__(self, epochs: KeyEpochs, count_max: int) -> None:
        self._epochs = epochs
        self._count_max = count_max
        self._kept: OrderedDict[str, _Kept[_Value]] = OrderedDict()

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
        self._kept[name] = _Kept(value, epoch, asked_ns)
        if len(self._kept) > self._count_max:
            self._kept.popitem(last=False)

    def forget(self, name: str) -> None:
        """Forget what is cached under a name, if anything."""
        self._kept.pop(name, None)
