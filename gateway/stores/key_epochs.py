"""Stores the key epoch in Redis: a random value that each change of a key or an account deletes.

So does each change of a person's credentials. Cached look-ups of keys and holders are valid only in
the epoch in which they were made. Each process reads the epoch for every request, so that none can
miss a change.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from redis.exceptions import RedisClusterException, RedisError

from database.errors import StoreUnavailableError

_NAME = "caller:key-epoch"
_TIMEOUT_S = 1.0

UNTOLD = (
    "The change is saved in SQL, but Redis did not answer: nodes that reach it may use what"
    " they knew for ten seconds more (ten minutes where they cannot ask SQL). Repeat it until it"
    " succeeds."
)


class RedisKeyEpochs:
    """Reads and invalidates the key epoch."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def current(self) -> str:
        """Return the epoch. Raises StoreUnavailableError.

        Random, not counted: if Redis loses its data, no earlier epoch comes back.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return str(await self._current(), "ascii")
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise StoreUnavailableError("It is not known which keys have changed.") from error

    async def _current(self) -> bytes:
        stored: bytes | None = await self._redis.get(_NAME)
        # NX, so that of several processes one writes and all read the same; in a loop, because a
        # change may delete the epoch between the two commands.
        while stored is None:
            await self._redis.set(_NAME, secrets.token_urlsafe(16), nx=True)
            stored = await self._redis.get(_NAME)
        return stored

    async def invalidate(self) -> None:
        """Make all earlier look-ups of keys invalid, in every process.

        Deletes instead of setting, because a server that is out of memory can still delete. Raises
        StoreUnavailableError if it may not have happened; try again.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._redis.delete(_NAME)
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise StoreUnavailableError(UNTOLD) from error
