"""Keeps the eras of buttons in Valkey: by another one every node learns to end their calls.

What is kept is looked at, not heard of: a message to nodes would be lost with a connection. Knows
no call.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any, Final

from accounts.stores.valkey import bounded

_PREFIX: Final = "caller:button-era:1:"
_AWAY: Final = "calls of buttons cannot be ended right now"
_ERA_BYTES: Final = 9
"""Random, so that none comes back with an older copy of the store."""
KEPT_S: Final = 2 * 86_400
"""Longer than any call lasts; one that began before then is over, or was ended."""


class RedisButtonEras:
    """`embed.ports.ButtonEras` in Valkey or Redis."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def current(self, button_ids: Collection[str]) -> Mapping[str, str]:
        """Return button id -> its era; nothing of those in their first."""
        ids = sorted(button_ids)
        # One command a key: those of different buttons lie on different servers of a cluster.
        pipeline = self._redis.pipeline(transaction=False)
        for button_id in ids:
            pipeline.get(_PREFIX + button_id)
        async with bounded(_AWAY):
            found = await pipeline.execute()
        return {name: era.decode() for name, era in zip(ids, found, strict=True) if era}

    async def end(self, button_id: str) -> None:
        """Begin another era."""
        era = secrets.token_urlsafe(_ERA_BYTES)
        async with bounded(_AWAY):
            await self._redis.set(_PREFIX + button_id, era, ex=KEPT_S)
