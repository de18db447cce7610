"""Remembers what was read of accounts, for as long as nothing says that it has changed.

A value counts only in the key epoch in which it was read: each change of a key, an account or a
person's credentials ends the epoch for all processes. Knows no store and no request.
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
    """Values by name; of too many, those that were kept first are forgotten."""

    def __init__(self, epochs: KeyEpochs, count_max: int) -> None:
        self._epochs = epochs
        self._count_max = count_max
        self._kept: OrderedDict[str, _Kept[_Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: str) -> bool:
        """Whether anything is remembered, of whatever epoch and age."""
        return name in self._kept

    async def epoch(self) -> str:
        """Return the key epoch, to be asked for before what is read in it.

        A change in between makes invalid what was read. Empty while the store is away, which
        matches nothing that is remembered.
        """
        try:
            return await self._epochs.current()
        except StoreUnavailableError:
            return ""

    def find(self, name: str, epoch: str, now_ns: int, age_ns_max: int) -> _Value | None:
        """Return what was read in this epoch, and less long ago than this."""
        kept = self._kept.get(name)
        if kept is None or kept.epoch != epoch or now_ns - kept.asked_ns >= age_ns_max:
            return None
        return kept.value

    def keep(self, name: str, value: _Value, epoch: str, asked_ns: int) -> None:
        """Remember what was read in an epoch; nothing without one, which could not end."""
        if not epoch:
            return
        self._kept.pop(name, None)
        self._kept[name] = _Kept(value, epoch, asked_ns)
        if len(self._kept) > self._count_max:
            self._kept.popitem(last=False)

    def forget(self, name: str) -> None:
        """Forget what is remembered under a name, if anything is."""
        self._kept.pop(name, None)
