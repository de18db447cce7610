"""Stores in Redis the carrier's calls that must be ended, for all nodes: one hash, usually empty.

`calls.ghosts` decides when each is due and who ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from redis.exceptions import RedisClusterException, RedisError

from database import refusals
from gateway.call.ghost import GHOSTS_MAX, Ghost

_KEY = "caller:ghosts"
"""Hash: the carrier's id of the call -> `Ghost` as JSON."""
_TIMEOUT_S = 1.0

# The existing entry wins, so that a repeated note changes neither its age nor who ends it.
_NOTE = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then return known end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return false end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return ARGV[2]
"""
# Compared as a whole: a node that saw an older state of the ghost is too late.
_CLAIM = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class RedisGhostStore:
    """The list in Redis. Every method raises StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def note(self, carrier_call_id: str, ghost: Ghost) -> Ghost | None:
        """Add a ghost and return it, or the one already stored; None: the list is full."""
        known = await self._ask("EVAL", _NOTE, 1, _KEY, carrier_call_id, _json(ghost), GHOSTS_MAX)
        return None if known is None else msgspec.json.decode(known, type=Ghost)

    async def all(self) -> Mapping[str, Ghost]:
        """Return the carrier's call ids -> the ghosts."""
        # Not HGETALL, whose form depends on the protocol version: pairs or a flat list.
        names = await self._ask("HKEYS", _KEY)
        if not names:
            return {}
        values = await self._ask("HMGET", _KEY, *names)
        return {
            name.decode(): msgspec.json.decode(value, type=Ghost)
            for name, value in zip(names, values, strict=True)
            # It was deleted between the two commands.
            if value is not None
        }

    async def claim(self, carrier_call_id: str, seen: Ghost, claimed: Ghost) -> bool:
        """Replace the ghost that was seen by `claimed`; False if another node was faster."""
        values = (carrier_call_id, _json(seen), _json(claimed))
        return bool(await self._ask("EVAL", _CLAIM, 1, _KEY, *values))

    async def forget(self, carrier_call_id: str) -> None:
        """Remove a ghost from the list."""
        await self._ask("HDEL", _KEY, carrier_call_id)

    async def _ask(self, *command: str | bytes | int) -> Any:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._redis.execute_command(*command)
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise refusals.unavailable(
                "the list of carrier calls to be ended cannot be reached", error
            ) from error


def _json(ghost: Ghost) -> bytes:
    return msgspec.json.encode(ghost)
