"""Keeps in Valkey what nodes say of themselves: a key each that lapses, and a list of their names.

Not their leases, by which it is decided whose a call is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from accounts.stores.valkey import bounded
from gateway.fleet.roster import INTERVAL_S, NodeFacts
from gateway.unreadable import UNREADABLE

LAPSES_MS: Final = round(3 * INTERVAL_S * 1000)
"""A node that is gone, or stands still, gets no new call for longer than this."""
_PREFIX: Final = "caller:node:1:"
_NAMES: Final = "caller:nodes"
"""Sorted set: node -> when it last wrote, in seconds of its own clock."""
_FORGOTTEN_AFTER_S: Final = 86_400
NODES_MAX: Final = 1000
_AWAY: Final = "what nodes say of themselves cannot be read"


class RedisNodeDirectory:
    """`fleet.roster.NodeDirectory` in Valkey or Redis."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def write(self, facts: NodeFacts) -> None:
        """Replace a node's facts, which lapse by themselves."""
        now_s = int(time.time())
        # One command a key: in a cluster they lie on different servers.
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(_PREFIX + facts.node, msgspec.json.encode(facts), px=LAPSES_MS)
        pipeline.zadd(_NAMES, {facts.node: now_s})
        pipeline.zremrangebyscore(_NAMES, "-inf", now_s - _FORGOTTEN_AFTER_S)
        async with bounded(_AWAY):
            await pipeline.execute()

    async def read(self) -> Sequence[NodeFacts]:
        """Return the facts of all nodes that have lately written any."""
        async with bounded(_AWAY):
            # The newest: what somebody else has put there hides no node.
            names = await self._redis.zrevrange(_NAMES, 0, NODES_MAX - 1)
        if not names:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.get(_PREFIX.encode() + name)
        async with bounded(_AWAY):
            found = await pipeline.execute(raise_on_error=False)
            for each in found:
                # Of another type it is nothing of ours, and hides no node.
                if isinstance(each, Exception) and not str(each).startswith("WRONGTYPE"):
                    raise each
        texts = (each for each in found if isinstance(each, bytes))
        return [facts for text in texts if (facts := _read(text)) is not None]


def _read(text: bytes) -> NodeFacts | None:
    try:
        return msgspec.json.decode(text, type=NodeFacts)
    except UNREADABLE:
        # Of a release whose facts are others: it is asked nothing, and given no call from here.
        return None
