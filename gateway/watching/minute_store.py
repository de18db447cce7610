"""Stores in Valkey a summary of all calls for each minute of the last day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from accounts.stores.valkey import bounded
from gateway.unreadable import UNREADABLE
from gateway.watching.history import MINUTES_KEPT, Minute

_KEY: Final = "caller:minutes:1"
_LAPSES_S: Final = 86_400
_AWAY: Final = "the history of calls cannot be reached"
_DECODER: Final = msgspec.json.Decoder(Minute)
# The duty to write may have changed hands within the minute: write one only.
_ADD: Final = """
local last = redis.call('LINDEX', KEYS[1], 0)
if last then
    -- A foreign value is not a minute, and must not block one.
    local is_read, minute = pcall(cjson.decode, last)
    local at = is_read and type(minute) == 'table' and minute.at
    if type(at) == 'string' and #at == #ARGV[2] and at >= ARGV[2] then return 0 end
end
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[3] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


class RedisMinutes:
    """The minutes of all processes together. Every method raises StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def add(self, minute: Minute) -> bool:
        """Add a minute; False if it, or a later one, is already there."""
        text = msgspec.json.encode(minute)
        # As encoded: times of the same form and length sort like their texts.
        at = msgspec.json.decode(text)["at"]
        added = self._redis.eval(_ADD, 1, _KEY, text, at, MINUTES_KEPT, _LAPSES_S)
        async with bounded(_AWAY):
            return bool(await added)

    async def read(self) -> Sequence[Minute]:
        """Return the stored minutes, oldest first; anything unreadable is skipped."""
        async with bounded(_AWAY):
            texts = await self._redis.lrange(_KEY, 0, -1)
        found = [_minute(text) for text in reversed(texts)]
        return [minute for minute in found if minute is not None]

    async def last(self) -> Minute | None:
        """Return the newest minute; None if there is none, or it is unreadable."""
        async with bounded(_AWAY):
            text = await self._redis.lindex(_KEY, 0)
        return None if text is None else _minute(text)


def _minute(text: bytes) -> Minute | None:
    try:
        return _DECODER.decode(text)
    except UNREADABLE:
        return None
