"""Stores in Valkey the codes of numbers being proven, for ten minutes.

Numbers and codes are stored as digests only.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from accounts.stores.valkey import bounded
from gateway.buttons.ports import CODE_LIFETIME_S, CODE_TRIES_MAX, Comparison

_PREFIX: Final = "caller:proof-code:1:"
_AWAY: Final = "codes cannot be kept right now"


class RedisProofCodes:
    """`buttons.ports.ProofCodes` in Valkey or Redis."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def keep(self, place: str, code_digest: str) -> None:
        """Store a code, replacing the previous one."""
        name = _PREFIX + place
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(name)
        pipeline.hset(name, mapping={"code": code_digest, "tries": 0})
        pipeline.expire(name, CODE_LIFETIME_S)
        async with bounded(_AWAY):
            await pipeline.execute()

    async def compare(self, place: str, code_digest: str) -> Comparison:
        """Try a code. A right one stays, so that what follows may be repeated."""
        name = _PREFIX + place
        pipeline = self._redis.pipeline(transaction=True)
        # Counted before it is compared, so that many at once get no more than the first few tries.
        pipeline.hincrby(name, "tries", 1)
        pipeline.hget(name, "code")
        async with bounded(_AWAY):
            tries, kept = await pipeline.execute()
        if kept is None:
            # Counting has created an entry without a code.
            async with bounded(_AWAY):
                await self._redis.delete(name)
            return Comparison.OVER
        if tries > CODE_TRIES_MAX:
            return Comparison.OVER
        is_right = hmac.compare_digest(kept, code_digest.encode())
        return Comparison.RIGHT if is_right else Comparison.WRONG

    async def forget(self, place: str) -> None:
        """Forget a code."""
        async with bounded(_AWAY):
            await self._redis.delete(_PREFIX + place)
