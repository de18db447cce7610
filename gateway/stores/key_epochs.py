"""The epoch of keys in Redis: another value after every change of any key or account.

What was learnt of a key in one epoch is believed in no other. So whoever changes a key only has to
end the epoch, and no process can miss it: each asks which one it is, for every request. Knows no
key.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from redis.exceptions import RedisError

from billing.errors import StoreUnavailableError

_NAME = "caller:key-epoch"
_TIMEOUT_S = 1.0


class RedisKeyEpochs:
    """Reads the epoch, and ends it."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def current(self) -> str:
        """Return the epoch. Raises StoreUnavailableError.

        Random, not counted: after a loss of Redis' data no earlier epoch comes back.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return str(await self._current(), "ascii")
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailableError("It is not known which keys have changed.") from error

    async def _current(self) -> bytes:
        stored: bytes | None = await self._redis.get(_NAME)
        while stored is None:
            await self._redis.set(_NAME, secrets.token_urlsafe(16), nx=True)
            stored = await self._redis.get(_NAME)
        return stored

    async def end(self) -> None:
        """Let nothing be believed that any process has learnt so far.

        Deletes, for that works in a server without memory too. Raises StoreUnavailableError:
        not known to have happened; try again.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._redis.delete(_NAME)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailableError(
                "The change is kept, but nodes may not know of it for ten seconds; repeat it."
            ) from error
