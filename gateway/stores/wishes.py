"""Stores in Valkey, for a day, which body an idempotency key was first used with.

Only keyed digests: neither account nor key can be read from them.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from accounts.stores.valkey import bounded

KEPT_S: Final = 86_400
_PREFIX: Final = "caller:wish:1:"
_AWAY: Final = "idempotency keys cannot be compared right now"
_DIGEST_BYTES: Final = 16


class RedisWishes:
    """`http.idempotency.Wishes` in Valkey or Redis."""

    def __init__(self, redis: Any, *, secret: str) -> None:
        """Take a secret shared by all nodes."""
        self._redis = redis
        self._secret = secret.encode()

    async def find(self, wish: str) -> bytes | None:
        """Return the fingerprint of a wish; None for a new one."""
        async with bounded(_AWAY):
            found: bytes | None = await self._redis.get(self._name(wish))
        return found

    async def keep(self, wish: str, fingerprint: bytes) -> None:
        """Store the fingerprint of a wish, unless one is stored."""
        async with bounded(_AWAY):
            await self._redis.set(self._name(wish), fingerprint, nx=True, ex=KEPT_S)

    async def replace(self, wish: str, fingerprint: bytes, kept_s: int = KEPT_S) -> None:
        """Replace the fingerprint of a wish, or store its first."""
        async with bounded(_AWAY):
            await self._redis.set(self._name(wish), fingerprint, ex=kept_s)

    def _name(self, wish: str) -> str:
        digest = hmac.digest(self._secret, wish.encode(), "sha256")
        return _PREFIX + digest[:_DIGEST_BYTES].hex()
