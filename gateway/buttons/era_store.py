"""Stores the eras of buttons in Valkey: a new era tells every node to end the button's calls.

Nodes poll it: a message to them would be lost with a connection.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any, Final

from accounts.stores.valkey import bounded

_PREFIX: Final = "caller:button-era:1:"
_AWAY: Final = "calls of buttons cannot be ended right now"
_ERA_BYTES: Final = 9
"""Random, so that restoring an older copy of the store brings no era back."""
KEPT_S: Final = 2 * 86_400
"""Longer than any call lasts, so calls from before then are over, or were ended."""


class RedisButtonEras:
    """`buttons.ports.ButtonEras` in Valkey or Redis."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def current(self, button_ids: Collection[str]) -> Mapping[str, str]:
        """Return button id -> its era; buttons in their first era are left out."""
        ids = sorted(button_ids)
        # One command per key: in a cluster, keys of different buttons are on different servers.
        pipeline = self._redis.pipeline(transaction=False)
        for button_id in ids:
            pipeline.get(_PREFIX + button_id)
        async with bounded(_AWAY):
            found = await pipeline.execute()
        return {name: era.decode() for name, era in zip(ids, found, strict=True) if era}

    async def end(self, button_id: str) -> None:
        """Begin a new era."""
        era = secrets.token_urlsafe(_ERA_BYTES)
        async with bounded(_AWAY):
            await self._redis.set(_PREFIX + button_id, era, ex=KEPT_S)
