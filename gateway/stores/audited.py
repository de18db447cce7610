"""Keeps in Valkey how the last audit of the book has ended. Knows no rule."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from redis.exceptions import ResponseError

from accounts.stores.valkey import bounded
from gateway.monitor.audited import Audited
from gateway.unreadable import UNREADABLE

_KEY: Final = "caller:audited:1"
_BYTES_MAX: Final = 1 << 16
"""A longer text is nothing of ours."""
_AWAY: Final = "the result of the last audit cannot be reached"
_DECODER: Final = msgspec.json.Decoder(Audited)


class RedisAudited:
    """The result for all processes. Every method raises StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def read(self) -> Audited | None:
        """Return it; None where there is none that can be read."""
        async with bounded(_AWAY):
            try:
                # One byte more than is ours tells one that is longer.
                text = await self._redis.getrange(_KEY, 0, _BYTES_MAX)
            except ResponseError as error:
                # Somebody else has put it there, of another type: the next result replaces it.
                if not str(error).startswith("WRONGTYPE"):
                    raise
                return None
        if not text or len(text) > _BYTES_MAX:
            return None
        try:
            return _DECODER.decode(text)
        except UNREADABLE:
            return None

    async def write(self, audited: Audited) -> None:
        """Replace it."""
        async with bounded(_AWAY):
            await self._redis.set(_KEY, msgspec.json.encode(audited))
