"""Stores the result of the last audit of the book in Valkey."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from redis.exceptions import ResponseError

from accounts.stores.valkey import bounded
from gateway.charging.audited import Audited
from gateway.unreadable import UNREADABLE

_KEY: Final = "caller:audited:1"
_BYTES_MAX: Final = 1 << 16
"""A longer text was not written by us."""
_AWAY: Final = "the result of the last audit cannot be reached"
_DECODER: Final = msgspec.json.Decoder(Audited)


class RedisAudited:
    """The result, shared by all processes. Every method raises StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def read(self) -> Audited | None:
        """Return the result; None if there is no readable one."""
        async with bounded(_AWAY):
            try:
                # One byte more than our limit reveals a value that is too long.
                text = await self._redis.getrange(_KEY, 0, _BYTES_MAX)
            except ResponseError as error:
                # A foreign value of another type: the next result replaces it.
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
        """Replace the result."""
        async with bounded(_AWAY):
            await self._redis.set(_KEY, msgspec.json.encode(audited))
