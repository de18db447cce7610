"""Stores in Redis when the outbox was last drained completely, by any process.

The mark is a key that expires; its remaining time to live shows its age by the server's own clock,
so the clocks of several machines need not agree.
"""

from __future__ import annotations

from typing import Any, Final

from accounts.stores.valkey import bounded

_KEY: Final = "caller:drained"
_KEPT_MS: Final = 30 * 86_400_000
"""Its time to live when it is written; its age is how much of that has passed."""
_AWAY: Final = "the mark of the drainer cannot be reached"


class RedisDrainMark:
    """The mark shared by all nodes on one Redis. Methods raise StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def set(self) -> None:
        """Record that the outbox was drained just now."""
        async with bounded(_AWAY):
            await self._redis.execute_command("SET", _KEY, b"1", "PX", _KEPT_MS)

    async def age_s(self) -> float | None:
        """Return how long ago that was; None if unknown."""
        async with bounded(_AWAY):
            left_ms = await self._redis.execute_command("PTTL", _KEY)
        # Negative if there is no mark (-2), or one written without an expiry (-1).
        return None if left_ms < 0 else (_KEPT_MS - left_ms) / 1000
