"""Which nodes live: a lease in Redis per node, renewed every few seconds.

A lease is a key that expires by itself, beside a list of the nodes that ever had one. Knows no
call, and not what becomes of a node's calls when its lease is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisClusterException, RedisError

from billing.errors import StoreUnavailableError

TTL_S = 20
_TIMEOUT_S = 1.0
_NODES = "caller:leases"
"""Sorted set: node -> when it renewed last, in seconds of its own clock."""
_FORGOTTEN_AFTER_S = 7 * 86_400


class RedisNodeLeases:
    """The leases of all nodes that share a Redis. Every method raises StoreUnavailableError."""

    def __init__(self, redis: Any, *, ttl_s: int = TTL_S, instance: str = "") -> None:
        """Lease with what the process calls itself, so that others can recognise it."""
        self._redis = redis
        self._instance = instance
        self._ttl_s = ttl_s

    async def renew(self, node: str) -> None:
        """Say that this node lives, for the next `ttl_s` seconds."""
        now_s = int(time.time())
        await self._pipeline(
            ("SET", _key(node), self._instance, "PX", self._ttl_s * 1000),
            ("ZADD", _NODES, now_s, node),
            ("ZREMRANGEBYSCORE", _NODES, "-inf", now_s - _FORGOTTEN_AFTER_S),
        )

    async def nodes(self) -> Mapping[str, bool]:
        """Return all nodes known -> whether they live."""
        (members,) = await self._pipeline(("ZRANGE", _NODES, 0, -1))
        known = [member.decode() for member in members]
        if not known:
            return {}
        leases = await self._pipeline(*(("EXISTS", _key(node)) for node in known))
        return {node: bool(lease) for node, lease in zip(known, leases, strict=True)}

    async def alive(self) -> frozenset[str]:
        """Return the nodes that live."""
        return frozenset(node for node, lives in (await self.nodes()).items() if lives)

    async def instances(self) -> frozenset[str]:
        """Return what the processes of living nodes call themselves."""
        (members,) = await self._pipeline(("ZRANGE", _NODES, 0, -1))
        found = await self._pipeline(*(("GET", _key(member.decode())) for member in members))
        return frozenset(instance.decode() for instance in found if instance)

    async def forget(self, node: str) -> None:
        """Give a node's lease back, and forget the node."""
        await self._pipeline(("DEL", _key(node)), ("ZREM", _NODES, node))

    async def _pipeline(self, *commands: tuple[str | int, ...]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                replies: list[Any] = await pipeline.execute()
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise StoreUnavailableError("the leases of nodes cannot be reached") from error
        return replies


def _key(node: str) -> str:
    return f"caller:lease:{node}"
