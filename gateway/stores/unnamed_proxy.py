"""Stores in Redis that all requests to a process come from one address, while it keeps saying so.

For `caller check`, which runs in another process.
"""

from __future__ import annotations

from typing import Any, Final

from accounts.stores.valkey import bounded

_KEY: Final = "caller:unnamed-proxy"
_LAPSES_MS: Final = 60_000
"""It is written more often than that."""
_ADDRESS_BYTES_MAX: Final = 64
_AWAY: Final = "what nodes say of their proxy cannot be reached"


class RedisUnnamedProxy:
    """The address reported last, by any process. Methods raise StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def tell(self, address: str) -> None:
        """Report that all requests come from this address; the report expires by itself."""
        async with bounded(_AWAY):
            await self._redis.set(_KEY, address, px=_LAPSES_MS)

    async def address(self) -> str:
        """Return the address; empty if no process has reported one recently."""
        async with bounded(_AWAY):
            # A foreign value may be longer.
            text: bytes = await self._redis.getrange(_KEY, 0, _ADDRESS_BYTES_MAX)
        return text.decode(errors="replace")
