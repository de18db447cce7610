"""Tracks which nodes are alive: one lease per node in Redis, renewed every few seconds.

A lease is a key that expires by itself, beside a list of all nodes that ever had one.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from redis.exceptions import RedisClusterException, RedisError

from database import refusals

TTL_S = 20
_TIMEOUT_S = 1.0
_NODES = "caller:leases"
"""Sorted set: node -> time of its last renewal, in seconds of its own clock."""
_FORGOTTEN_AFTER_S = 7 * 86_400
_CLOCK_SLACK_MS = 2_000
"""How far the rest of a lease may differ from what this process's clock expects."""


_LOOK_S = 0.25
"""How often a lease that another process may hold is checked."""
_TWICE = (
    "CALLER_NODE must differ: stop one of the two processes. Its calls are settled when the node is"
    " started next."
)
# One script, or two processes with one node id could both find it free. ARGV[3] is a lease that
# no one has renewed for long enough, so it may be replaced; empty for none.
_TAKE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[3] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""

log = structlog.get_logger(__name__)


class RedisNodeLeases:
    """The leases of all nodes on one Redis. Every method raises StoreUnavailableError."""

    def __init__(self, redis: Any, *, ttl_s: int = TTL_S, instance: str = "") -> None:
        """Write this process's instance name into its lease, by which others recognise it."""
        self._redis = redis
        self._instance = instance
        self._ttl_s = ttl_s
        self._renewed: dict[str, tuple[bytes, float]] = {}
        """Node -> the content of its lease, and when it was written, by this process's clock."""

    async def claim(
        self, node: str, silence_s: float, on_wait: Callable[[], None] = lambda: None
    ) -> bool:
        """Take a node's lease unless a live process holds it; return whether it was taken.

        A lease that was not released stays with its last holder until it has not been renewed for
        `silence_s`, which is longer than any live node waits. `on_wait` is called before the wait.
        """
        # None is how Redis returns `false`: it was free and is ours.
        held = await self._take(node, b"")
        if held is None:
            return True
        on_wait()
        # No need to wait until it expires: a live process renews more often than that.
        due_s = time.monotonic() + silence_s
        while time.monotonic() < due_s:
            await asyncio.sleep(min(_LOOK_S, silence_s))
            (now,) = await self._pipeline(("GET", _key(node)))
            if now != held:
                # Renewed, or given back.
                return now is None and await self._take(node, b"") is None
        # Only in place of exactly the lease that was silent: a renewal since then wins.
        return await self._take(node, held) is None

    async def _take(self, node: str, dead: bytes) -> bytes | None:
        """Write the lease if there is none, or only `dead`; return the one that is in the way."""
        name, begun_s = self._new_name(), time.monotonic()
        ttl_ms = self._ttl_s * 1000
        (held,) = await self._pipeline(("EVAL", _TAKE, 1, _key(node), name, ttl_ms, dead))
        if held is not None:
            return bytes(held)
        self._renewed[node] = (name, begun_s)
        await self._pipeline(("ZADD", _NODES, int(time.time()), node))
        return None

    def _new_name(self) -> bytes:
        # A new name for each renewal, so that an older copy of the store shows by its older name.
        return f"{secrets.token_hex(8)} {self._instance}".encode()

    async def renew(self, node: str) -> bool:
        """Renew this node's lease for the next `ttl_s` seconds.

        Returns whether the lease was as this process left it: a store that was emptied or rolled
        back, or whose clock was set, holds another one, or holds it for a different time.
        """
        now_s, key = int(time.time()), _key(node)
        name = self._new_name()
        # Removed until the reply arrives: if the outcome stays unknown, the next renewal cannot be
        # compared and proves nothing.
        before, begun_s = self._renewed.pop(node, None), time.monotonic()
        held, left_ms, *_ = await self._pipeline(
            # Read before it is replaced: this is what the store held until now, and it is checked
            # below.
            ("GET", key),
            ("PTTL", key),
            ("SET", key, name, "PX", self._ttl_s * 1000),
            ("ZADD", _NODES, now_s, node),
            # Nodes' wall clocks differ, but against a week that does not matter.
            ("ZREMRANGEBYSCORE", _NODES, "-inf", now_s - _FORGOTTEN_AFTER_S),
        )
        self._renewed[node] = (name, begun_s)
        if before is None or held != before[0]:
            # A name of this process that differs is an older one, from a store that was rolled
            # back.
            if before is not None and held and self._instance not in held.decode():
                log.error("another process serves as this node", node=node, hint=_TWICE)
            return False
        # This shows whether the store's clock was set: both sides should have counted the same
        # time.
        expected_ms = 1000 * (self._ttl_s - (begun_s - before[1]))
        return bool(abs(left_ms - expected_ms) <= _CLOCK_SLACK_MS)

    async def nodes(self) -> Mapping[str, bool]:
        """Return all known nodes -> whether they are alive."""
        (members,) = await self._pipeline(("ZRANGE", _NODES, 0, -1))
        known = [member.decode() for member in members]
        if not known:
            return {}
        leases = await self._pipeline(*(("EXISTS", _key(node)) for node in known))
        return {node: bool(lease) for node, lease in zip(known, leases, strict=True)}

    async def alive(self) -> frozenset[str]:
        """Return the nodes that are alive."""
        return frozenset(node for node, lives in (await self.nodes()).items() if lives)

    async def instances(self) -> frozenset[str]:
        """Return the instance names of all live nodes."""
        (members,) = await self._pipeline(("ZRANGE", _NODES, 0, -1))
        found = await self._pipeline(*(("GET", _key(member.decode())) for member in members))
        named = (lease.decode().partition(" ")[2] for lease in found if lease)
        return frozenset(instance for instance in named if instance)

    async def forget(self, node: str) -> None:
        """Delete a node's lease, and the node."""
        await self._pipeline(("DEL", _key(node)), ("ZREM", _NODES, node))

    async def _pipeline(self, *commands: tuple[str | bytes | int, ...]) -> list[Any]:
        # In a cluster these keys are in different slots, which no transaction may span.
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                replies: list[Any] = await pipeline.execute()
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise refusals.unavailable("the leases of nodes cannot be reached", error) from error
        return replies


def _key(node: str) -> str:
    return f"caller:lease:{node}"
