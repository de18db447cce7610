"""Stores in Redis when the outbox was last drained completely, by any process.

The mark is a key that expires; its remaining time to live shows its age by the server's own clock,
so the clocks of several machines need not agree. Knows no outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from redis.exceptions import RedisClusterException, RedisError

from database import refusals

_KEY: Final = "caller:drained"
_KEPT_MS: Final = 30 * 86_400_000
"""Its time to live when it is written; what has passed of it is its age."""
_TIMEOUT_S: Final = 1.0


class RedisDrainMark:
    """The mark shared by all nodes on one Redis. Methods raise StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def set(self) -> None:
        """Note that the outbox was drained just now."""
        await _bounded(self._redis.execute_command("SET", _KEY, b"1", "PX", _KEPT_MS))

    async def age_s(self) -> float | None:
        """Return how long ago that was; None if unknown."""
        left_ms = await _bounded(self._redis.execute_command("PTTL", _KEY))
        # Negative where there is no mark (-2), or one that somebody wrote without a time (-1).
        return None if left_ms < 0 else (_KEPT_MS - left_ms) / 1000


async def _bounded(answer: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await answer
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        raise refusals.unavailable("the mark of the drainer cannot be reached", error) from error
