"""A client of a cluster whose requests wait for their turn, as for the connections of one server.

The library's fails a request at once where a node's connections are all in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterPipeline
from redis.exceptions import ConnectionError as NoConnectionError

_HAS_TURN: ContextVar[bool] = ContextVar("caller.cluster.has_turn", default=False)


class WaitingCluster(RedisCluster):
    """At most so many requests at once; the others wait.

    A request takes one connection of each node that it goes to. So no node ever has more of them,
    whatever is redirected where.
    """

    def __init__(self, *, requests_max: int, wait_max_s: float, **options: Any) -> None:
        """Take how many may be under way, and how long another waits for one of them to end."""
        super().__init__(max_connections=requests_max, **options)
        self._turns = asyncio.Semaphore(requests_max)
        self._wait_max_s = wait_max_s

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command when it is its turn."""
        async with self.turn():
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """Return a pipeline that runs when it is its turn."""
        del shard_hint
        # Abstract by its annotations only: the library makes one in the same way.
        return _WaitingPipeline(self, transaction)  # type: ignore[abstract]

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn. Raises the library's ConnectionError where that takes too long."""
        # A pipeline sends again, one by one, what was redirected: within its own turn.
        if _HAS_TURN.get():
            yield
            return
        try:
            async with asyncio.timeout(self._wait_max_s):
                await self._turns.acquire()
        except TimeoutError:
            raise NoConnectionError("no connection has become free") from None
        token = _HAS_TURN.set(True)
        try:
            yield
        finally:
            _HAS_TURN.reset(token)
            self._turns.release()


class _WaitingPipeline(ClusterPipeline):
    def __init__(self, client: WaitingCluster, transaction: Any) -> None:
        super().__init__(client, transaction)
        self._client = client

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> Any:
        async with self._client.turn():
            return await super().execute(raise_on_error, allow_redirections)
