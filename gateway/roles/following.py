"""Follows live calls for a command: what nodes say, as it comes. Serves nobody."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

from billing.clock import utc_now
from gateway.fleet.roster import Roster
from gateway.heartbeat.cancelling import cancelled
from gateway.monitor.alarm_view import AlarmView, alarm_views
from gateway.monitor.board import SUMMED_AT_ONCE, Board, News
from gateway.monitor.rows import decode
from gateway.monitor.totals import Totals
from gateway.roles.storage import open_redis_alone
from gateway.settings import Settings
from gateway.stores.alarms import RedisAlarms
from gateway.stores.node_facts import RedisNodeDirectory
from gateway.stores.watch_channel import RedisWatchChannel

NOBODY: Final = "a command"
"""Who reads alarms without ever having the duty to tell of them."""


class Following:
    """What a command knows of live calls. Everything raises StoreUnavailableError."""

    def __init__(self, channel: RedisWatchChannel, roster: Roster, alarms: RedisAlarms) -> None:
        self.board = Board()
        self._channel = channel
        self._roster = roster
        self._store = alarms
        self._listening: asyncio.Task[None] | None = None
        self.alarms: list[AlarmView] = []

    async def start(self) -> None:
        """Begin to listen."""
        begun = asyncio.Event()
        self._listening = asyncio.get_running_loop().create_task(self._listen(begun))
        waiting = asyncio.ensure_future(begun.wait())
        try:
            await asyncio.wait({waiting, self._listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def stop(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            await cancelled(self._listening)

    async def _listen(self, begun: asyncio.Event) -> None:
        async with self._channel.listen() as messages:
            begun.set()
            async for message in messages:
                # Of another release, or of somebody who may write to the store.
                with suppress(ValueError):
                    self.board.apply(decode(message), time.monotonic_ns(), utc_now())

    async def look(self) -> News:
        """Return what is new since it was looked last, with nodes and alarms as they are."""
        if self._listening is not None and self._listening.done():
            # It has ended by what keeps it from listening.
            self._listening.result()
        await self._roster.look()
        now_ns = time.monotonic_ns()
        self.board.see_nodes(self._roster.nodes(), now_ns)
        self.board.sweep(now_ns)
        standing, orders = await self._store.read()
        self.alarms = alarm_views(standing or (), orders, time.time())
        return self.board.take_news()

    def totals(self, at: datetime) -> Totals:
        """Return the totals of all calls as they are now."""
        for _ in range(len(self.board) // SUMMED_AT_ONCE + 2):
            self.board.sum_up_some(at)
        return self.board.totals(None, time.monotonic_ns(), at)


@asynccontextmanager
async def open_following(settings: Settings) -> AsyncIterator[Following]:
    """Open what a command follows live calls by. Raises StoreUnavailableError, SettingsError."""
    async with open_redis_alone(settings) as redis:
        roster = Roster(RedisNodeDirectory(redis), settings.origin, None, random.choice)
        following = Following(RedisWatchChannel(redis), roster, RedisAlarms(redis, NOBODY))
        await following.start()
        try:
            yield following
        finally:
            await following.stop()
