"""Publishes what nodes report about their calls through Valkey, without storing it.

A channel, not a stream: streams go into the append-only file, and this is ten times as much data as
the money's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from accounts.stores.valkey import bounded

_CHANNEL: Final = "caller/watch/1"
"""For database 0. It is not a key: nothing is stored under it."""
_AWAY: Final = "what nodes say of their calls cannot be passed on"
_WAIT_S: Final = 1.0
_SILENT_S: Final = 10.0
"""How long a subscription may be silent before it is pinged."""


class RedisWatchChannel:
    """One channel for all processes. Everything raises StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.name = _name_for(redis)

    async def publish(self, message: bytes) -> None:
        """Send a message to all current subscribers."""
        async with bounded(_AWAY):
            await self._redis.publish(self.name, message)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Subscribe while this is open; yields the messages from then on."""
        subscription = self._redis.pubsub()
        try:
            async with bounded(_AWAY):
                await subscription.subscribe(self.name)
                # Until now the subscription was only requested, and may still be refused.
                while await subscription.get_message(timeout=None) is None:
                    pass
            yield self._messages(subscription)
        finally:
            # The connection is dropped, with anything in flight on it.
            async with bounded(_AWAY):
                await subscription.aclose()

    async def _messages(self, subscription: Any) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        heard_s, is_asked = loop.time(), False
        while True:
            async with bounded(_AWAY, waits_s=_WAIT_S):
                found = await subscription.get_message(timeout=_WAIT_S)
            if found is not None:
                heard_s, is_asked = loop.time(), False
                if found["type"] == "message":
                    yield found["data"]
            elif loop.time() - heard_s >= _SILENT_S:
                async with bounded(_AWAY):
                    if is_asked:
                        # A connection lost silently would not fail for a quarter of an hour.
                        raise TimeoutError
                    await subscription.ping()
                heard_s, is_asked = loop.time(), True


def _name_for(redis: Any) -> str:
    """Return the channel for a client's database: channels span databases, servers are shared."""
    # A cluster has database 0 only, and no pool.
    pool = getattr(redis, "connection_pool", None)
    number = 0 if pool is None else int(pool.connection_kwargs.get("db") or 0)
    return f"{_CHANNEL}/{number}" if number else _CHANNEL
