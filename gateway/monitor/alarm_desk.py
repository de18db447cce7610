"""Tells operators of alarms, each once: whichever process holds the duty does it for all.

Knows no store, no mail and no clock: they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec
import structlog

from database.errors import StoreUnavailableError
from gateway.monitor.alarms import STORE_AWAY, Alarm, Alarms, Change, Figures

REMINDED_S: Final = 4 * 3600.0
"""How long after an alarm was told it is told again, while it lasts and nobody is at it."""
SETTLING_S: Final = 10.0
"""How long a process that has just started judges nothing: nodes have yet to speak."""
ORDERS_MAX: Final = 500

log = structlog.get_logger(__name__)


class AlarmOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator has said of an alarm."""

    name: str
    kind: Literal["acknowledged", "silenced"]
    until_s: float | None
    """Seconds since the epoch, of what is silenced; None for as long as the alarm lasts."""
    by: str
    reason: str
    at_s: float

    def holds(self, now_s: float) -> bool:
        """Return whether it is not over."""
        return self.until_s is None or now_s < self.until_s


class AlarmStore(Protocol):
    """What all processes know of alarms. Everything raises StoreUnavailableError."""

    async def hold(self) -> bool:
        """Take or keep the duty; False while another process has it."""

    async def read(self) -> tuple[Sequence[Alarm], Mapping[str, AlarmOrder]]:
        """Return the alarms that stand, and what was said of which."""

    async def write(self, alarms: Sequence[Alarm]) -> None:
        """Replace the alarms that stand."""

    async def forget(self, names: Sequence[str]) -> None:
        """Forget what was said of alarms."""


class Tell(Protocol):
    """Tells operators of a change."""

    def __call__(self, change: Change, *, is_reminder: bool) -> None:
        """Tell it soon; return at once."""


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
        self._begun_s = clock_s()
        self._is_holder = False

    async def look(self) -> None:
        """Judge, tell and write down, or see what the process found that does; once a second."""
        now_s = self._clock_s()
        try:
            is_holder = await self._store.hold()
            alarms, self._orders = await self._store.read()
        except StoreUnavailableError:
            # Told by each process for itself: nobody can hold the duty.
            self._judge(now_s)
            return
        if not is_holder or not self._is_holder:
            # Whoever has just taken the duty goes on from what the last holder knew.
            self._adopt(alarms, now_s)
        self._is_holder = is_holder
        if is_holder:
            self._judge(now_s)
            self._remind(now_s)
            await self._store.write(self._alarms.standing())
            await self._tidy(now_s)
        self._show(self._alarms.standing(), self._orders)

    def _adopt(self, alarms: Sequence[Alarm], now_s: float) -> None:
        known = {alarm.name for alarm in alarms}
        # What this process has told by itself, it ends by itself.
        for alarm in self._alarms.standing():
            if alarm.rule == STORE_AWAY and alarm.name not in known:
                self._tell_over(alarm, now_s)
        self._alarms.adopt(alarms)

    def _judge(self, now_s: float) -> None:
        if 0 <= now_s - self._begun_s < SETTLING_S:
            return
        for change in self._alarms.look(self._figures(), now_s):
            alarm = change.alarm
            if change.is_over:
                log.info("alarm over", alarm=alarm.rule, subject=alarm.subject)
                self._tell_over(alarm, now_s)
                continue
            log.info("alarm raised", alarm=alarm.rule, subject=alarm.subject)
            if not self._is_silenced(alarm, now_s):
                self._tell(change, is_reminder=False)
                self._alarms.note_told(alarm, now_s)

    def _tell_over(self, alarm: Alarm, now_s: float) -> None:
        # Whoever was not told of its beginning need not hear of its end.
        if alarm.told_s is not None and not self._is_silenced(alarm, now_s):
            self._tell(Change(alarm, is_over=True), is_reminder=False)

    def _remind(self, now_s: float) -> None:
        for alarm in self._alarms.standing():
            told_s = alarm.told_s
            if self._order(alarm, now_s) is not None:
                continue
            # One that was silenced when it began is told when the silence is over.
            if told_s is None or now_s - told_s >= REMINDED_S:
                self._tell(Change(alarm, is_over=False), is_reminder=told_s is not None)
                self._alarms.note_told(alarm, now_s)

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
