"""Stores in Valkey what nodes report about themselves: an expiring key each, and a list of names.

Not their leases, which decide whose a call is.
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
"""A node that is gone, or has stalled, gets no new call after this time at the latest."""
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
        """Replace a node's facts, which expire by themselves."""
        now_s = int(time.time())
        # One command per key: in a cluster they are on different servers.
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(_PREFIX + facts.node, msgspec.json.encode(facts), px=LAPSES_MS)
        pipeline.zadd(_NAMES, {facts.node: now_s})
        pipeline.zremrangebyscore(_NAMES, "-inf", now_s - _FORGOTTEN_AFTER_S)
        async with bounded(_AWAY):
            await pipeline.execute()

    async def read(self) -> Sequence[NodeFacts]:
        """Return the facts of all nodes that have recently written any."""
        async with bounded(_AWAY):
            # The newest, so that foreign entries hide no node.
            names = await self._redis.zrevrange(_NAMES, 0, NODES_MAX - 1)
        if not names:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.get(_PREFIX.encode() + name)
        async with bounded(_AWAY):
            found = await pipeline.execute(raise_on_error=False)
            for each in found:
                # A value of another type is not ours, and must not hide a node.
                if isinstance(each, Exception) and not str(each).startswith("WRONGTYPE"):
                    raise each
        texts = (each for each in found if isinstance(each, bytes))
        return [facts for text in texts if (facts := _read(text)) is not None]


def _read(text: bytes) -> NodeFacts | None:
    try:
        return msgspec.json.decode(text, type=NodeFacts)
    except UNREADABLE:
        # Of a release with other facts: it is asked nothing, and given no call from here.
        return None
