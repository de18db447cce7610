"""Composes the publishing of live calls, and the people who watch them.

Each process publishes its own calls; one that answers people also listens, and serves viewers.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from billing.clock import utc_now
from database.errors import StoreUnavailableError
from gateway.fleet.roster import Roster
from gateway.heartbeat.periodic_task import PeriodicTask, cancelled
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.http.access import DeclaredRoute
from gateway.http.api.admin import AdminRoutes
from gateway.http.api.operator_reports import OperatorReportsApi
from gateway.http.bearer import Authenticator
from gateway.http.live_feed import FleetFeedApi, LiveFeed, OwnFeedApi
from gateway.logs.warnings_kept import WarningsKept
from gateway.monitor.board import Board
from gateway.monitor.feed import TURNS, Feed
from gateway.monitor.rows import Batch, Warned, decode, encode
from gateway.sockets.event_stream import EventStream
from gateway.stores.opened import Stores
from gateway.stores.operator_reports import SqlOperatorReports
from gateway.stores.watch_channel import RedisWatchChannel

SPEAKS_EVERY: Final = 10
"""Beats between two reports of a process about its calls: a fifth of a second."""
SPEAKS_PER_S: Final = BEATS_PER_SECOND // SPEAKS_EVERY
UPDATES_EVERY: Final = 5
"""Beats between two updates of viewers' texts: a tenth of a second."""
SUMMED_SLOT: Final = BEATS_PER_SECOND // 2
"""Beat at which all calls begin to be summed up: half a second before totals are sent."""
REFRESHED_AT_ONCE: Final = 50
"""Audiences that get their totals at one beat: all possible ones within a second."""
RETRY_S: Final = 0.5
STANDS_S: Final = 5.0
"""How long listening must work without a break until an outage is over."""
EVENT_CHARACTERS_MAX: Final = 256
SAID_EVERY_S: Final = 60.0
"""How often unintelligible messages are logged."""

log = structlog.get_logger(__name__)


class Speaker:
    """Publishes what the calls of this process do, and its warnings."""

    def __init__(
        self, name: str, channel: RedisWatchChannel, take_calls: Callable[[], Sequence[bytes]]
    ) -> None:
        """Publish under a name: that of a node, or of what else the process is."""
        self._name = name
        self._channel = channel
        self._take_calls = take_calls
        self._warnings = WarningsKept()
        self._beats = 0
        self._speaking: asyncio.Task[None] | None = None

    def start(self, ticker: Ticker) -> None:
        """Begin to publish at the beats of a ticker, and to collect warnings."""
        logging.getLogger().addHandler(self._warnings)
        for slot in range(0, BEATS_PER_SECOND, SPEAKS_EVERY):
            ticker.add_duty(slot, self._speak)

    async def stop(self) -> None:
        """Stop publishing."""
        logging.getLogger().removeHandler(self._warnings)
        if self._speaking is not None:
            await cancelled(self._speaking)

    def _speak(self, _now_ns: int) -> None:
        # The previous message is still on its way: the store is slow, and must not be given more.
        if self._speaking is not None and not self._speaking.done():
            return
        texts = list(self._take_calls())
        self._beats += 1
        if not texts and self._beats % SPEAKS_PER_S == 0:
            # So that listeners know that they are still connected.
            texts.append(encode(Batch(node=self._name)))
        if warnings := self._take_warnings():
            texts.append(encode(Batch(node=self._name, warnings=warnings)))
        if texts:
            self._speaking = asyncio.get_running_loop().create_task(self._say(texts))

    def _take_warnings(self) -> Sequence[Warned]:
        return [
            Warned(
                at=kept.at,
                node=self._name,
                level="error" if kept.is_error else "warning",
                event=kept.event[:EVENT_CHARACTERS_MAX],
                call_id=kept.call_id,
            )
            for kept in self._warnings.take()
        ]

    async def _say(self, texts: Sequence[bytes]) -> None:
        try:
            for text in texts:
                await self._channel.publish(text)
        except StoreUnavailableError:
            # Not logged here: others log that the store is away, and a second later all is sent
            # again.
            pass
        except Exception:
            log.exception("live calls not told")


class Watching:
    """The board of this process, and its viewers."""

    def __init__(
        self,
        stores: Stores,
        roster: Roster,
        ticker: Ticker,
        auth: Authenticator,
        routing: AdminRoutes,
        *,
        answer_fields: Mapping[str, str],
    ) -> None:
        """Watch all nodes that share the stores; each answer to a viewer has `answer_fields`."""
        self.board = board = Board()
        self._feed = Feed(board, secrets.token_hex(4))
        new_stream = partial(EventStream, answer_fields)
        self._live = LiveFeed(self._feed, new_stream, stores.key_epochs, ticker.clock_ns, utc_now)
        reports = SqlOperatorReports(stores.engine)
        self._apis = (
            OwnFeedApi(auth, self._live),
            FleetFeedApi(routing, self._live),
            OperatorReportsApi(routing, reports, partial(board.rows, None), utc_now),
        )
        self._channel = RedisWatchChannel(stores.redis)
        self._roster = roster
        self._ticker = ticker
        self._is_summing = False
        self._refreshing: Iterator[None] = iter(())
        self._listening: asyncio.Task[None] | None = None
        self._is_failing = False
        self._said_s: float | None = None

    def routes(self) -> Sequence[DeclaredRoute]:
        """Return the routes for viewers."""
        return [route for api in self._apis for route in api.routes()]

    @property
    def viewers(self) -> int:
        """How many viewers this process has."""
        return len(self._feed)

    def tasks(self) -> Sequence[PeriodicTask]:
        """Return the tasks that run beside the beats."""
        return (PeriodicTask("look at the rights of viewers", self._live.look_at_rights, 1.0),)

    def start(self) -> None:
        """Begin to listen, and to serve at the beats of the ticker."""
        for slot in range(BEATS_PER_SECOND):
            self._ticker.add_duty(slot, partial(self._beat, slot))
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def stop(self) -> None:
        """Close all streams, and stop listening."""
        await self._live.close()
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
        self._live.serve_turn(slot % TURNS)

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
