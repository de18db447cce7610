"""Holds all objects by kind and identifier, bounded. Pure: identifiers follow from a seed.

Of the objects it only knows whether they are finished.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from simulators.payments.errors import missing
from simulators.payments.resources import Resource

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
T = TypeVar("T", bound=Resource)


class Registry:
    """The objects of one account.

    Args:
        seed: what identifiers follow from.
        kept: objects of a kind; the oldest finished one goes first, else the oldest.
        forget: called with the identifier of each object that is removed.
        exceptions: kinds of which another number is kept.
    """

    def __init__(
        self,
        seed: int,
        kept: int,
        forget: Callable[[str], None],
        exceptions: Mapping[type[Resource], int],
    ) -> None:
        self._seed = seed
        self._kept = kept
        self._exceptions = exceptions
        self._forget = forget
        self._counter = 0
        self._shelves: dict[type[Resource], dict[str, Resource]] = {}

    def new_id(self, prefix: str, length: int = 24) -> str:
        """Return a fresh identifier such as `pi_3f…`."""
        # Identifiers depend on the order of requests alone, so that a run can be repeated.
        self._counter += 1
        digest = hashlib.blake2b(b"%d:%d" % (self._seed, self._counter), digest_size=48).digest()
        return f"{prefix}_{''.join(_ALPHABET[byte % 62] for byte in digest[:length])}"

    def add(self, resource: T) -> T:
        """Keep an object, and return it."""
        shelf = self._shelves.setdefault(type(resource), {})
        if len(shelf) >= self._exceptions.get(type(resource), self._kept):
            # The oldest first, for dictionaries keep the order of insertion. An open object is
            # dropped only where none is finished.
            finished = (known.id for known in shelf.values() if known.is_finished)
            self.remove(type(resource), next(finished, next(iter(shelf))))
        shelf[resource.id] = resource
        return resource

    def remove(self, kind: type[Resource], object_id: str) -> None:
        """Forget an object."""
        del self._shelves[kind][object_id]
        self._forget(object_id)

    def find(self, kind: type[T], object_id: str, param: str = "id") -> T:
        """Return an object.

        Raises:
            ApiError: there is none of that kind under this identifier; `param` is to blame.
        """
        resource = self._shelves.get(kind, {}).get(object_id)
        # Also what tells the type checker the kind; the shelf holds no other.
        if not isinstance(resource, kind):
            raise missing(kind.KIND, object_id, param)
        return resource

    def look_up(self, object_id: str) -> Resource | None:
        """Return an object of any kind, or None."""
        found = (shelf[object_id] for shelf in self._shelves.values() if object_id in shelf)
        return next(found, None)

    def newest(self, kind: type[T]) -> Iterable[T]:
        """Yield the objects of a kind, the newest first."""
        shelf = self._shelves.get(kind, {})
        return (known for known in reversed(shelf.values()) if isinstance(known, kind))

    def counts(self) -> dict[str, int]:
        """Return how many objects of each kind there are."""
        return {kind.KIND: len(shelf) for kind, shelf in self._shelves.items()}
