"""Stores in Redis that a process has all its requests from one address, for as long as it says so.

For `caller check`, which is a process of its own. Knows no request.
"""

from __future__ import annotations

from typing import Any, Final

from accounts.stores.valkey import bounded

_KEY: Final = "caller:unnamed-proxy"
_LAPSES_MS: Final = 60_000
"""It is written anew more often than that."""
_ADDRESS_BYTES_MAX: Final = 64
_AWAY: Final = "what nodes say of their proxy cannot be reached"


class RedisUnnamedProxy:
    """The address that was told last, by any process. Methods raise StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def tell(self, address: str) -> None:
        """Say that all requests come from this address; it lapses by itself."""
        async with bounded(_AWAY):
            await self._redis.set(_KEY, address, px=_LAPSES_MS)

    async def address(self) -> str:
        """Return the address; empty where no process has told one lately."""
        async with bounded(_AWAY):
            # What somebody else has put there may be longer.
            text: bytes = await self._redis.getrange(_KEY, 0, _ADDRESS_BYTES_MAX)
        return text.decode(errors="replace")
