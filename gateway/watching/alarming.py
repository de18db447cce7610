"""Looks for alarms, notifies operators of them, and writes the history of calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from billing.clock import utc_now
from gateway.charging.audited import Audited
from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.ports import Notify
from gateway.post.mail import mail_server
from gateway.settings import Settings
from gateway.stores.ghosts import RedisGhostStore
from gateway.stores.leases import RedisNodeLeases
from gateway.stores.opened import Stores
from gateway.stores.watched_rights import StoreRights
from gateway.watching.alarm_desk import AlarmDesk, AlarmOrder
from gateway.watching.alarm_mails import AlarmLine, AlarmMails
from gateway.watching.alarm_store import RedisAlarms
from gateway.watching.alarm_view import alarm_views
from gateway.watching.alarms import Alarm, AlarmChange, Figures, action_of
from gateway.watching.audited_store import RedisAudited
from gateway.watching.board import Board
from gateway.watching.history import minute_of
from gateway.watching.left_calls import LeftCalls, Orphans, ghosts_left
from gateway.watching.minute_store import RedisMinutes

LOOKS_EVERY_S: Final = 1.0
HISTORY_EVERY_S: Final = 20.0
"""A minute is written once, by whichever process comes first."""
LEFT_LOOKED_EVERY_S: Final = 15.0
"""It asks every partition for its open calls."""
_MICROS: Final = 1_000_000


class Alarming:
    """The alarms of one process; either it or another process sends the notifications."""

    def __init__(
        self, settings: Settings, stores: Stores, instance: str, board: Board, notify: Notify
    ) -> None:
        """Watch a board; `instance` is a name unique to this process. Raises SettingsError.

        `notify` receives an event for each change.
        """
        self._board = board
        self._notify = notify
        self._mails = _mails(settings)
        most = settings.alarm_spend_per_minute
        self._spend_micros_max = most * _MICROS or None
        self.store = RedisAlarms(stores.redis, instance)
        self.minutes = RedisMinutes(stores.redis)
        self._ghosts = RedisGhostStore(stores.redis)
        self._leases = RedisNodeLeases(stores.redis)
        self._audited = RedisAudited(stores.redis)
        self._rights = StoreRights(stores.redis)
        self._open_calls = stores.gate.open_calls
        self._orphans = Orphans()
        self._left = LeftCalls()
        self._audit: Audited | None = None
        self._desk = AlarmDesk(self.store, self._figures, self._tell, self._show, time.time)

    def tasks(self) -> Sequence[PeriodicTask]:
        """Return the periodic checks."""
        return (
            PeriodicTask("look for alarms", self._desk.look, LOOKS_EVERY_S),
            PeriodicTask("history of calls", self._write_history, HISTORY_EVERY_S),
            PeriodicTask("look for ghosts and orphans", self._look_for_left, LEFT_LOOKED_EVERY_S),
            PeriodicTask("look at the rights at the store", self._look_at_rights, LOOKS_EVERY_S),
        )

    async def _look_for_left(self) -> None:
        """Count calls that no one looks after, and read the result of the last audit."""
        # In every process: one that takes over the duty must not consider its alarm to be over.
        self._audit = await self._audited.read()
        if not self._desk.is_holder:
            return
        ghosts = (await self._ghosts.all()).values()
        # First: phones may ring even if a partition of the spend gate cannot be asked.
        self._left = replace(self._left, at_carrier=ghosts_left(ghosts, time.time()))
        calls = [(call.call_id, call.node) for call in await self._open_calls()]
        left = self._orphans.left(calls, await self._leases.alive(), time.monotonic_ns())
        self._left = replace(self._left, of_lost_nodes=left)

    async def _look_at_rights(self) -> None:
        """Check whether nodes are silent because they lack rights."""
        await self._rights.watch(self._board.silence_s(time.monotonic_ns()))

    async def _write_history(self) -> None:
        """Store a summary of all calls once a minute, for all processes."""
        if self._desk.is_holder:
            at = utc_now()
            totals = self._board.totals(None, time.monotonic_ns(), at)
            await self.minutes.add(minute_of(totals, at))

    async def stop(self) -> None:
        """Stop sending notifications."""
        if self._mails is not None:
            await self._mails.stop()

    def _figures(self) -> Figures:
        now_ns, at = time.monotonic_ns(), utc_now()
        return Figures(
            totals=self._board.totals(None, now_ns, at),
            nodes=self._board.nodes(),
            silent_calls=self._board.silent_calls,
            errors=self._board.errors(now_ns),
            store_away_s=self._board.silence_s(now_ns),
            lacking=" ".join(self._rights.lacking),
            spend_micros_max=self._spend_micros_max,
            left=self._left,
            last_minute=self._board.last_minute(now_ns),
            audit=self._audit,
            at_s=time.time(),
        )

    def _show(self, alarms: Sequence[Alarm], orders: Mapping[str, AlarmOrder]) -> None:
        self._board.see_alarms(alarm_views(alarms, orders, time.time()))

    def _tell(
        self, change: AlarmChange, *, is_reminder: bool, on_sent: Callable[[], None] | None
    ) -> None:
        alarm = change.alarm.as_now() if is_reminder else change.alarm
        kind = "over" if change.is_over else "reminder" if is_reminder else "raised"
        since = datetime.fromtimestamp(alarm.since_s, UTC)
        data = {
            "account_id": "",
            "name": alarm.name,
            "rule": alarm.rule,
            "subject": alarm.subject,
            "title": alarm.title,
            "value": alarm.value,
            "unit": alarm.unit,
            "since": since.isoformat(timespec="seconds"),
        }
        self._notify(f"alarm.{kind}", data)
        if self._mails is None:
            if on_sent is not None:
                on_sent()
            return
        words = {"over": "Over", "reminder": "Lasts", "raised": "Began"}[kind]
        at = utc_now() if change.is_over else since
        action = "" if change.is_over else action_of(alarm)
        self._mails.tell(AlarmLine(words, at, alarm.title, action), on_sent)


def _mails(settings: Settings) -> AlarmMails | None:
    server = mail_server(settings)
    if server is None or not settings.alarm_email:
        return None
    return AlarmMails(
        server,
        settings.alarm_email,
        service=settings.service_name,
        origin=settings.origin,
        clock=utc_now,
    )
