"""Counts in Valkey, for a day, how many visitors each button has refused, by reason.

Only counts are stored, nothing about a visitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from accounts.stores.valkey import bounded
from gateway.buttons.visitor import day_of
from gateway.embed.refusals import Reason

_PREFIX: Final = "caller:refused-visitors:1:"
_AWAY: Final = "refused visitors cannot be counted now"
KEPT_S: Final = 86_400
"""After the last addition, so that today's counts last all day."""


class RedisVisitorRefusals:
    """`ports.ButtonRefusals` and `visitor_refusals.RefusalStore` in Valkey or Redis."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def add(self, counts: Mapping[tuple[str, str, Reason], int]) -> None:
        """Add to (button, day, reason) -> how often."""
        pipeline = self._redis.pipeline(transaction=False)
        for (button_id, day, reason), count in counts.items():
            name = f"{_PREFIX}{button_id}:{day}"
            pipeline.hincrby(name, reason.value, count)
            pipeline.expire(name, KEPT_S)
        async with bounded(_AWAY):
            await pipeline.execute()

    async def of_day(self, button_id: str, at: datetime) -> Mapping[Reason, int]:
        """Return reason -> count for the UTC day of a given time, most frequent first."""
        async with bounded(_AWAY):
            kept = await self._redis.hgetall(f"{_PREFIX}{button_id}:{day_of(at)}")
        # Another release may have reasons that this one does not know.
        known = {reason.value: reason for reason in Reason}
        found = {known[k.decode()]: int(v) for k, v in kept.items() if k.decode() in known}
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))
