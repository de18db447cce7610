"""Serves those who watch live calls: hears what all processes publish, and feeds the viewers."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from billing.clock import utc_now
from database.errors import StoreUnavailableError
from gateway.fleet.roster import Roster
from gateway.heartbeat.periodic_task import PeriodicTask, cancelled
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.sockets.event_stream import EventStream
from gateway.stores.opened import Stores
from gateway.watching.board import Board
from gateway.watching.feed import TURNS, Feed
from gateway.watching.live_feed import LiveFeed
from gateway.watching.rows import decode
from gateway.watching.watch_channel import RedisWatchChannel

UPDATES_EVERY: Final = 5
"""Beats between two updates of viewers' texts: a tenth of a second."""
SUMMED_SLOT: Final = BEATS_PER_SECOND // 2
"""Beat at which all calls begin to be summed up: half a second before totals are sent."""
REFRESHED_AT_ONCE: Final = 50
"""Audiences that get their totals at one beat: all possible ones within a second."""
RETRY_S: Final = 0.5
STANDS_S: Final = 5.0
"""How long listening must work without a break until an outage is over."""
SAID_EVERY_S: Final = 60.0
"""How often unintelligible messages are logged."""

log = structlog.get_logger(__name__)


class Watching:
    """The board of this process, and its viewers."""

    def __init__(
        self,
        stores: Stores,
        roster: Roster,
        ticker: Ticker,
        *,
        answer_fields: Mapping[str, str],
    ) -> None:
        """Watch all nodes that share the stores; each answer to a viewer has `answer_fields`."""
        self.board = board = Board()
        self._feed = Feed(board, secrets.token_hex(4))
        new_stream = partial(EventStream, answer_fields)
        self.live = LiveFeed(self._feed, new_stream, stores.key_epochs, ticker.clock_ns, utc_now)
        self._channel = RedisWatchChannel(stores.redis)
        self._roster = roster
        self._ticker = ticker
        self._is_summing = False
        self._refreshing: Iterator[None] = iter(())
        self._listening: asyncio.Task[None] | None = None
        self._is_failing = False
        self._said_s: float | None = None

    @property
    def viewers(self) -> int:
        """How many viewers this process has."""
        return len(self._feed)

    def tasks(self) -> Sequence[PeriodicTask]:
        """Return the tasks that run beside the beats."""
        return (PeriodicTask("look at the rights of viewers", self.live.look_at_rights, 1.0),)

    def start(self) -> None:
        """Begin to listen, and to serve at the beats of the ticker."""
        for slot in range(BEATS_PER_SECOND):
            self._ticker.add_duty(slot, partial(self._beat, slot))
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def stop(self) -> None:
        """Close all streams, and stop listening."""
        await self.live.close()
        if self._listening is not None and not await cancelled(self._listening):
            log.error("part not stopped", part="what nodes say of live calls")

    def _beat(self, slot: int, now_ns: int) -> None:
        if slot == SUMMED_SLOT:
            self._is_summing = True
        # What no one watches is updated once a second, for the alarms.
        if slot and not (self._is_summing or self._feed.is_watched):
            return
        at = utc_now()
        if self._is_summing:
            self._is_summing = not self.board.sum_up_some(at)
        if slot == 0:
            self.board.sweep(now_ns)
            self.board.see_nodes(self._roster.nodes(), now_ns)
            self._refreshing = self._feed.refresh(now_ns, at)
        for _ in range(REFRESHED_AT_ONCE):
            if next(self._refreshing, self) is self:
                break
        if slot % UPDATES_EVERY == 0:
            self._feed.update(now_ns, at)
        self.live.serve_turn(slot % TURNS)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            standing = None
            try:
                async with self._channel.listen() as messages:
                    # Not at once: a server that cuts us off again and again is one outage.
                    standing = loop.call_later(STANDS_S, self._is_listened)
                    async for message in messages:
                        self._hear(message)
            except StoreUnavailableError as error:
                if not self._is_failing:
                    log.warning("live calls cannot be watched", reason=str(error))
            except Exception:
                # The edge of the task: a bug must not blind this process for good.
                if not self._is_failing:
                    log.exception("live calls cannot be watched")
            finally:
                if standing is not None:
                    standing.cancel()
            self._is_failing = True
            await asyncio.sleep(RETRY_S)

    def _is_listened(self) -> None:
        if self._is_failing:
            log.info("live calls can be watched again")
        self._is_failing = False

    def _hear(self, message: bytes) -> None:
        try:
            batch = decode(message)
        except ValueError:
            # From another release, or from anyone who may write to the store. The text is not
            # logged, because it may contain a number.
            now_s = time.monotonic()
            if self._said_s is None or now_s - self._said_s >= SAID_EVERY_S:
                log.warning("report of a node not understood")
                self._said_s = now_s
            return
        self.board.apply(batch, self._ticker.clock_ns(), utc_now())
