"""Lets Valkey write its append-only files anew, so that they lose what was deleted.

Until then a file of commands still has what the data have lost. At most one rewriting in `PAUSE_S`,
by whatever process: it copies all data to the disk. Knows no account.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError, RedisClusterException, RedisError, ResponseError

from database import refusals

PAUSE_S: Final = 600
_KEY: Final = "caller:aof-rewritten"
_TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)


class RedisAof:
    """The append-only files of one server, or of each primary of a cluster."""

    def __init__(self, redis: Any) -> None:
        """Take a client."""
        self._redis = redis

    async def rewrite(self) -> bool:
        """Begin a rewriting of what is there now; False where it must wait. True without AOF.

        Raises StoreUnavailableError.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._rewrite()
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise refusals.unavailable("the files cannot be written anew", error) from error

    async def _rewrite(self) -> bool:
        if not await self._has_files():
            return True
        if not await self._redis.set(_KEY, b"1", nx=True, ex=PAUSE_S):
            return False
        try:
            await self._everywhere("BGREWRITEAOF")
        except NoPermissionError:
            # Of a service that is not ours to command: its files are written anew as it decides.
            log.warning("append-only files are written anew by whoever runs the server")
        except ResponseError:
            # Another is under way, and may have passed by what was deleted.
            await self._redis.delete(_KEY)
            return False
        return True

    async def _has_files(self) -> bool:
        answer = await self._everywhere("INFO", "persistence")
        # One server answers with its facts, a cluster with those of each node.
        each = [answer] if "aof_enabled" in answer else list(answer.values())
        return any(facts["aof_enabled"] for facts in each)

    async def _everywhere(self, *command: str) -> Any:
        if isinstance(self._redis, RedisCluster):
            return await self._redis.execute_command(
                *command, target_nodes=self._redis.get_primaries()
            )
        return await self._redis.execute_command(*command)
