"""Tells operators of alarms, each once: whichever process holds the duty does it for all.

Knows no store, no mail and no clock: they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, Literal, Protocol

import msgspec
import structlog

from database.errors import StoreUnavailableError
from gateway.monitor.alarms import Alarm, Alarms, Change, Figures, Seconds

REMINDED_S: Final = 4 * 3600.0
"""How long after an alarm was told it is told again, while it lasts and nobody is at it."""
SETTLING_S: Final = 10.0
"""How long a process judges nothing but the store when it has just started, or the store is back:
nodes have yet to speak."""
STALE_S: Final = 5.0
"""How long after it was asked for the duty may be somebody else's: half of what a lease lasts."""
ORDERS_MAX: Final = 500

log = structlog.get_logger(__name__)


class AlarmOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator has said of an alarm."""

    name: str
    kind: Literal["acknowledged", "silenced"]
    until_s: Seconds | None
    """Of what is silenced; None for as long as the alarm lasts."""
    by: str
    reason: str
    at_s: Seconds

    def holds(self, now_s: float) -> bool:
        """Return whether it is not over."""
        return self.until_s is None or now_s < self.until_s


class Duty(Enum):
    """Whose it is to tell."""

    OTHERS = auto()
    TAKEN = auto()
    """This process's from now on; in the meantime another one may have had it."""
    KEPT = auto()
    """This process's since it was asked last."""


class AlarmStore(Protocol):
    """What all processes know of alarms. Everything raises StoreUnavailableError."""

    async def hold(self) -> Duty:
        """Take or keep the duty, unless another process has it."""

    async def read(self) -> tuple[Sequence[Alarm] | None, Mapping[str, AlarmOrder]]:
        """Return the alarms that stand, and what was said of which.

        None where nothing is written that can be read.
        """

    async def write(self, alarms: Sequence[Alarm]) -> None:
        """Replace the alarms that stand."""

    async def forget(self, names: Sequence[str]) -> None:
        """Forget what was said of alarms."""


class Tell(Protocol):
    """Tells operators of a change."""

    def __call__(
        self, change: Change, *, is_reminder: bool, on_told: Callable[[], None] | None
    ) -> None:
        """Tell it soon; return at once. `on_told` is called once it has left, or is given up."""


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
        """Look at what `figures` returns; `show` is told what stands. `clock_s` is the wall's."""
        self._store = store
        self._figures = figures
        self._tell = tell
        self._show = show
        self._clock_s = clock_s
        self._alarms = Alarms()
        self._orders: Mapping[str, AlarmOrder] = {}
        self._settling_since_s = clock_s()
        self._is_holder = False
        self._is_alone = False
        """Whether alarms of the store are this process's own."""
        self._telling: set[tuple[str, float]] = set()
        """Names and beginnings of alarms that are on their way to an operator."""

    @property
    def is_holder(self) -> bool:
        """Whether the duty was this process's when it looked last."""
        return self._is_holder

    async def look(self) -> None:
        """Judge, tell and write down, or see what the process found that does; once a second."""
        now_s = self._clock_s()
        try:
            duty = await self._store.hold()
            if duty is not Duty.KEPT:
                self._is_holder = False
            alarms, self._orders = await self._store.read()
        except StoreUnavailableError:
            # Told by each process for itself: nobody can hold the duty, and all else is old.
            self._judge(now_s, only_store=True)
            self._is_alone = self._alarms.is_store_told_of
            self._show(self._alarms.standing(), self._orders)
            return
        # The process was stopped in between: the duty has lapsed, or will before this is done.
        if self._clock_s() - now_s >= STALE_S:
            self._is_holder = False
            return
        if not self._is_holder and alarms is not None:
            # Whoever has just taken the duty goes on from what the last holder knew. Where that is
            # gone, from what this process has seen of it.
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
            # What this process has told by itself, it ends by itself.
            self._judge(now_s, only_store=True)

    def _judge(self, now_s: float, *, only_store: bool = False) -> None:
        # A clock that was set back begins the wait again.
        since_s = self._settling_since_s = min(self._settling_since_s, now_s)
        is_settling = now_s - since_s < SETTLING_S
        figures = self._figures()
        for change in self._alarms.look(figures, now_s, only_store=only_store or is_settling):
            alarm = change.alarm
            if change.is_over:
                log.info("alarm over", alarm=alarm.rule, subject=alarm.subject)
                self._tell_over(alarm, now_s)
                continue
            log.info("alarm raised", alarm=alarm.rule, subject=alarm.subject)
            if not self._is_silenced(alarm, now_s):
                self._tell_of(alarm, is_reminder=False)
        if self._alarms.is_store_away:
            self._settling_since_s = now_s
        if not self._alarms.is_store_told_of:
            self._is_alone = False

    def _tell_of(self, alarm: Alarm, *, is_reminder: bool) -> None:
        key = alarm.name, alarm.since_s
        self._telling.add(key)

        def told() -> None:
            # Only now: who takes over the duty tells of what has not left.
            self._telling.discard(key)
            self._alarms.note_told(alarm, self._clock_s())

        self._tell(Change(alarm, is_over=False), is_reminder=is_reminder, on_told=told)

    def _is_on_its_way(self, alarm: Alarm) -> bool:
        return (alarm.name, alarm.since_s) in self._telling

    def _tell_over(self, alarm: Alarm, now_s: float) -> None:
        # Whoever was not told of its beginning need not hear of its end.
        is_told = alarm.told_s is not None or self._is_on_its_way(alarm)
        if is_told and not self._is_silenced(alarm, now_s):
            self._tell(Change(alarm, is_over=True), is_reminder=False, on_told=None)

    def _remind(self, now_s: float) -> None:
        for alarm in self._alarms.standing():
            told_s = alarm.told_s
            if self._order(alarm, now_s) is not None or self._is_on_its_way(alarm):
                continue
            # One that was silenced when it began is told when the silence is over. A clock may have
            # been set back for long.
            if told_s is None or abs(now_s - told_s) >= REMINDED_S:
                self._tell_of(alarm, is_reminder=told_s is not None)

    def _order(self, alarm: Alarm, now_s: float) -> AlarmOrder | None:
        order = self._orders.get(alarm.name)
        return order if order is not None and order.holds(now_s) else None

    def _is_silenced(self, alarm: Alarm, now_s: float) -> bool:
        order = self._order(alarm, now_s)
        return order is not None and order.kind == "silenced"

    async def _tidy(self, now_s: float) -> None:
        """Forget orders that have run out, and of alarms that are over what was acknowledged."""
        standing = {alarm.name for alarm in self._alarms.standing()}
        gone = [
            name
            for name, order in self._orders.items()
            if not order.holds(now_s) or (order.kind == "acknowledged" and name not in standing)
        ]
        if gone:
            await self._store.forget(gone)
