"""Notifies operators of alarms, each once: the process that holds the duty does it for all.

Store, mail and clock are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, Literal, Protocol

import msgspec
import structlog

from database.errors import StoreUnavailableError
from gateway.watching.alarms import Alarm, AlarmBoard, AlarmChange, Figures, Seconds

REMINDED_S: Final = 4 * 3600.0
"""When an alarm is sent again while it lasts and no one has acknowledged it."""
SETTLING_S: Final = 10.0
"""How long a process judges only the store after it has started, or after the store is back:
nodes have yet to report."""
STALE_S: Final = 5.0
"""Age of a check of the duty from which it may be somebody else's: half of the lease's length."""
ORDERS_MAX: Final = 500

log = structlog.get_logger(__name__)


class AlarmOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's order on an alarm."""

    name: str
    kind: Literal["acknowledged", "silenced"]
    until_s: Seconds | None
    """When a silence ends; None for as long as the alarm lasts."""
    by: str
    reason: str
    at_s: Seconds

    def holds(self, now_s: float) -> bool:
        """Return whether it still applies."""
        return self.until_s is None or now_s < self.until_s


class Duty(Enum):
    """Which process has the duty to notify."""

    OTHERS = auto()
    TAKEN = auto()
    """This process's from now on; in the meantime another one may have had it."""
    KEPT = auto()
    """This process's since the last check."""


class AlarmStore(Protocol):
    """What all processes know about alarms. Everything raises StoreUnavailableError."""

    async def hold(self) -> Duty:
        """Take or keep the duty, unless another process has it."""

    async def read(self) -> tuple[Sequence[Alarm] | None, Mapping[str, AlarmOrder]]:
        """Return the active alarms, and operators' orders on them.

        The alarms are None if nothing readable is stored.
        """

    async def write(self, alarms: Sequence[Alarm]) -> None:
        """Replace the active alarms."""

    async def forget(self, names: Sequence[str]) -> None:
        """Delete the orders on these alarms."""


class Tell(Protocol):
    """Notifies operators of a change."""

    def __call__(
        self, change: AlarmChange, *, is_reminder: bool, on_sent: Callable[[], None] | None
    ) -> None:
        """Send it soon; return at once. `on_sent` is called once it is sent or given up."""


class AlarmDesk:
    """The alarms as one process knows them."""

    def __init__(
        self,
        store: AlarmStore,
        figures: Callable[[], Figures],
        tell: Tell,
        show: Callable[[Sequence[Alarm], Mapping[str, AlarmOrder]], None],
        clock_s: Callable[[], float],
    ) -> None:
        """Check what `figures` returns; `show` gets the active alarms. `clock_s` is the wall's."""
        self._store = store
        self._figures = figures
        self._tell = tell
        self._show = show
        self._clock_s = clock_s
        self._alarms = AlarmBoard()
        self._orders: Mapping[str, AlarmOrder] = {}
        self._settling_since_s = clock_s()
        self._is_holder = False
        self._is_alone = False
        """Whether alarms of the store are this process's own."""
        self._sending: set[tuple[str, float]] = set()
        """Names and beginnings of alarms whose notice is on its way to an operator."""

    @property
    def is_holder(self) -> bool:
        """Whether this process had the duty at its last look."""
        return self._is_holder

    async def look(self) -> None:
        """Judge, notify and store, or read what the process on duty has found; once a second."""
        now_s = self._clock_s()
        try:
            duty = await self._store.hold()
            if duty is not Duty.KEPT:
                self._is_holder = False
            alarms, self._orders = await self._store.read()
        except StoreUnavailableError:
            # Every process notifies for itself: no one can hold the duty, and all else is old.
            self._judge(now_s, only_store=True)
            self._is_alone = self._alarms.is_store_told_of
            self._show(self._alarms.standing(), self._orders)
            return
        # The process was stopped in between: the duty has expired, or will before this is done.
        if self._clock_s() - now_s >= STALE_S:
            self._is_holder = False
            return
        if not self._is_holder and alarms is not None:
            # A process that has just taken the duty continues from what the last holder knew; if
            # that is gone, from what it has seen itself.
            self._alarms.adopt(alarms, keeps_away=self._is_alone)
        self._is_holder = duty is not Duty.OTHERS
        await self._work(now_s)
        self._show(self._alarms.standing(), self._orders)

    async def _work(self, now_s: float) -> None:
        if self._is_holder:
            self._judge(now_s)
            self._remind(now_s)
            await self._store.write(self._alarms.standing())
            await self._tidy(now_s)
        elif self._is_alone:
            # An alarm that this process sent by itself is ended by itself.
            self._judge(now_s, only_store=True)

    def _judge(self, now_s: float, *, only_store: bool = False) -> None:
        # If the clock was set back, the wait starts over.
        since_s = self._settling_since_s = min(self._settling_since_s, now_s)
        is_settling = now_s - since_s < SETTLING_S
        figures = self._figures()
        for change in self._alarms.look(figures, now_s, only_store=only_store or is_settling):
            alarm = change.alarm
            if change.is_over:
                log.info("alarm over", alarm=alarm.rule, subject=alarm.subject)
                self._send_end(alarm, now_s)
                continue
            log.info("alarm raised", alarm=alarm.rule, subject=alarm.subject)
            if not self._is_silenced(alarm, now_s):
                self._send(alarm, is_reminder=False)
        if self._alarms.is_store_away:
            self._settling_since_s = now_s
        if not self._alarms.is_store_told_of:
            self._is_alone = False

    def _send(self, alarm: Alarm, *, is_reminder: bool) -> None:
        key = alarm.name, alarm.since_s
        self._sending.add(key)

        def sent() -> None:
            # Only now: a process that takes over the duty sends what has not been sent.
            self._sending.discard(key)
            self._alarms.note_told(alarm, self._clock_s())

        self._tell(AlarmChange(alarm, is_over=False), is_reminder=is_reminder, on_sent=sent)

    def _is_being_sent(self, alarm: Alarm) -> bool:
        return (alarm.name, alarm.since_s) in self._sending

    def _send_end(self, alarm: Alarm, now_s: float) -> None:
        # An operator who was not notified of its beginning need not hear of its end.
        was_notified = alarm.told_s is not None or self._is_being_sent(alarm)
        if was_notified and not self._is_silenced(alarm, now_s):
            self._tell(AlarmChange(alarm, is_over=True), is_reminder=False, on_sent=None)

    def _remind(self, now_s: float) -> None:
        for alarm in self._alarms.standing():
            told_s = alarm.told_s
            if self._order(alarm, now_s) is not None or self._is_being_sent(alarm):
                continue
            # An alarm that began silenced is sent when the silence ends. A clock may have been set
            # far back.
            if told_s is None or abs(now_s - told_s) >= REMINDED_S:
                self._send(alarm, is_reminder=told_s is not None)

    def _order(self, alarm: Alarm, now_s: float) -> AlarmOrder | None:
        order = self._orders.get(alarm.name)
        return order if order is not None and order.holds(now_s) else None

    def _is_silenced(self, alarm: Alarm, now_s: float) -> bool:
        order = self._order(alarm, now_s)
        return order is not None and order.kind == "silenced"

    async def _tidy(self, now_s: float) -> None:
        """Delete expired orders, and acknowledgements of alarms that are over."""
        standing = {alarm.name for alarm in self._alarms.standing()}
        gone = [
            name
            for name, order in self._orders.items()
            if not order.holds(now_s) or (order.kind == "acknowledged" and name not in standing)
        ]
        if gone:
            await self._store.forget(gone)
