"""Makes Valkey rewrite its append-only files, so that deleted data disappears from them.

Until then a file of commands still contains what was deleted from the data. All processes together
start at most one rewrite per `PAUSE_S`, because it copies all data to disk.
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
        """Start a rewrite of the current data; False if it must wait. True without AOF.

        Raises StoreUnavailableError.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._rewrite()
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise refusals.unavailable("the files cannot be rewritten", error) from error

    async def _rewrite(self) -> bool:
        if not await self._has_files():
            return True
        if not await self._redis.set(_KEY, b"1", nx=True, ex=PAUSE_S):
            return False
        try:
            await self._everywhere("BGREWRITEAOF")
        except NoPermissionError:
            # A managed service does not take this command: it rewrites its files when it decides
            # to.
            log.warning("append-only files must be rewritten by the server's operator")
        except ResponseError:
            # Another rewrite is running, and may already have passed what was deleted.
            await self._redis.delete(_KEY)
            return False
        return True

    async def _has_files(self) -> bool:
        answer = await self._everywhere("INFO", "persistence")
        # A single server answers with its facts, a cluster with those of each node.
        each = [answer] if "aof_enabled" in answer else list(answer.values())
        return any(facts["aof_enabled"] for facts in each)

    async def _everywhere(self, *command: str) -> Any:
        if isinstance(self._redis, RedisCluster):
            return await self._redis.execute_command(
                *command, target_nodes=self._redis.get_primaries()
            )
        return await self._redis.execute_command(*command)
