"""Follows live calls for a command: reads what nodes report, as it arrives. Serves no port.

If the store stops answering, it waits and keeps what was known.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

from billing.clock import utc_now
from database import refusals
from database.errors import StoreUnavailableError
from gateway.fleet.roster import Roster
from gateway.heartbeat.periodic_task import cancelled
from gateway.nanoseconds import SECOND_NS
from gateway.roles.storage import open_redis_alone
from gateway.settings import Settings
from gateway.stores.node_facts import RedisNodeDirectory
from gateway.watching.alarm_store import RedisAlarms
from gateway.watching.alarm_view import AlarmView, alarm_views
from gateway.watching.board import LOST_NS, SUMMED_AT_ONCE, Board, News
from gateway.watching.history import Minute
from gateway.watching.minute_store import RedisMinutes
from gateway.watching.rows import decode
from gateway.watching.totals import Totals
from gateway.watching.watch_channel import RedisWatchChannel

_READER: Final = "a command"
"""A process that reads alarms without ever having the duty to send them."""
RETRY_NS: Final = SECOND_NS
"""How long to wait before asking a store again that does not answer."""


class LiveCallFollowing:
    """What a command knows of live calls."""

    def __init__(
        self,
        channel: RedisWatchChannel,
        roster: Roster,
        alarms: RedisAlarms,
        minutes: RedisMinutes,
    ) -> None:
        self.board = Board()
        self._channel = channel
        self._roster = roster
        self._store = alarms
        self._minutes = minutes
        self._listening: asyncio.Task[None] | None = None
        self.alarms: list[AlarmView] = []
        self.minute: Minute | None = None
        """The latest summary of all calls that a serving process has stored."""
        self.listens_since_ns: int | None = None
        """Since when no report of the nodes has been missed."""
        self.away_since: datetime | None = None
        """Since when the store has not answered; None while it does."""
        self._tried_ns = 0
        self._settled_ns = 0
        """From when silence means something about calls and nodes."""

    async def start(self) -> None:
        """Begin to listen. Raises StoreUnavailableError."""
        try:
            await self._begin()
            await self._roster.look()
        except StoreUnavailableError as error:
            sentence = refusals.of_credit_store(error)
            away = f"The server of CALLER_REDIS_URL: {refusals.passing(error)}"
            raise StoreUnavailableError(sentence or away) from error

    async def _begin(self) -> None:
        begun = asyncio.Event()
        self._listening = asyncio.get_running_loop().create_task(self._listen(begun))
        waiting = asyncio.ensure_future(begun.wait())
        try:
            await asyncio.wait({waiting, self._listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._listening.done():
            self._listening.result()
        self.listens_since_ns = time.monotonic_ns()

    async def stop(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            await cancelled(self._listening)
            # If it ended because the store is away, the next look has reported that.
            with suppress(StoreUnavailableError, asyncio.CancelledError):
                self._listening.result()

    async def _listen(self, begun: asyncio.Event) -> None:
        async with self._channel.listen() as messages:
            begun.set()
            async for message in messages:
                # From another release, or from anyone who may write to the store.
                with suppress(ValueError):
                    self.board.apply(decode(message), time.monotonic_ns(), utc_now())

    async def look(self) -> News:
        """Return what is new since the last look, with nodes and alarms as they are.

        While the store does not answer, nothing is new: everything stays as it was.
        """
        now_ns = time.monotonic_ns()
        if self.away_since is not None and now_ns - self._tried_ns < RETRY_NS:
            return News()
        self._tried_ns = now_ns
        try:
            if self._listening is not None and self._listening.done():
                # It ended because of what stopped it from listening.
                with suppress(StoreUnavailableError):
                    self._listening.result()
                await self._begin()
            await self._roster.look()
            standing, orders = await self._store.read()
            self.minute = await self._minutes.last()
        except StoreUnavailableError:
            self.away_since = self.away_since or utc_now()
            return self.board.take_news()
        now_ns = time.monotonic_ns()
        if self.away_since is not None:
            # Nodes have yet to report: none is lost merely because it could not.
            self.away_since, self._settled_ns = None, now_ns + LOST_NS
            self.listens_since_ns = now_ns
        if now_ns >= self._settled_ns:
            self.board.see_nodes(self._roster.nodes(), now_ns)
            self.board.sweep(now_ns)
        self.alarms = alarm_views(standing or (), orders, time.time())
        return self.board.take_news()

    def listened_s(self) -> float:
        """Return for how many seconds everything that happened is known."""
        since_ns = self.listens_since_ns
        return 0 if since_ns is None else (time.monotonic_ns() - since_ns) / SECOND_NS

    def totals(self, at: datetime) -> Totals:
        """Return the current totals of all calls, for the time listened to."""
        for _ in range(len(self.board) // SUMMED_AT_ONCE + 2):
            self.board.sum_up_some(at)
        return self.board.totals(None, time.monotonic_ns(), at)


def away_said(since: datetime) -> str:
    """Return the text shown while the store does not answer."""
    return f"Valkey has not answered since {since:%H:%M:%S} UTC: nothing is new until it does."


@asynccontextmanager
async def open_following(settings: Settings) -> AsyncIterator[LiveCallFollowing]:
    """Open what a command follows live calls with. Raises StoreUnavailableError, SettingsError."""
    async with open_redis_alone(settings) as redis:
        roster = Roster(RedisNodeDirectory(redis), settings.origin, None, random.choice)
        alarms, minutes = RedisAlarms(redis, _READER), RedisMinutes(redis)
        following = LiveCallFollowing(RedisWatchChannel(redis), roster, alarms, minutes)
        await following.start()
        try:
            yield following
        finally:
            await following.stop()
