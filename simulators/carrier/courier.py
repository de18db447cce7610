"""Delivers the status callbacks of one call, in order unless a fault says otherwise.

The line reports each step to it; `webhooks` does the HTTP.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from simulators.carrier.callbacks import status_params
from simulators.carrier.calls import Call, Progress
from simulators.carrier.equipment import Equipment
from simulators.carrier.faults import CallbackFault
from simulators.carrier.orders import Hook

REORDER_HOLD_S: Final = 1.0
"""Longest time that an event is held back until the next one overtakes it."""


class StatusCourier:
    """The status callbacks of one call."""

    def __init__(
        self,
        equipment: Equipment,
        call: Call,
        hook: Hook | None,
        events: frozenset[str],
        fault: Callable[[], CallbackFault],
    ) -> None:
        self.hook = hook
        self._equipment = equipment
        self._call = call
        self._events = events
        self._fault = fault
        self._held: Mapping[str, str] | None = None
        self._turn = asyncio.Lock()

    def announce(self, progress: Progress) -> None:
        """Deliver a status event, if anyone subscribed to it, in the background."""
        if self.hook is None or progress.event not in self._events:
            return
        # Built now: the call may have moved on by the time that the event is delivered.
        params = status_params(self._call, progress)
        # Asked at each event, for a plan can be replaced while the call lives.
        fault = self._fault()
        if progress.event in fault.drop:
            self._equipment.webhooks.log_dropped("status", self.hook, params)
            return
        # The last event is never held back: nothing follows that could overtake it.
        if fault.reorder and self._held is None and progress.event != "completed":
            self._held = params
            self._equipment.tasks.spawn(self._release(params, fault))
            return
        self._queue(params, fault)
        # This event has just gone first; the one that waited for it goes now, out of order.
        if self._held is not None:
            overtaken, self._held = self._held, None
            self._queue(overtaken, fault)

    async def _release(self, params: Mapping[str, str], fault: CallbackFault) -> None:
        await asyncio.sleep(REORDER_HOLD_S)
        # Nothing overtook it in time, as when a call rings for long. Compared by identity: another
        # event may be the held one by now.
        if self._held is params:
            self._held = None
            self._queue(params, fault)

    def _queue(self, params: Mapping[str, str], fault: CallbackFault) -> None:
        # One token for both copies: it is how a receiver recognises a repetition.
        token = str(uuid.uuid4())
        for _ in range(2 if fault.duplicate else 1):
            self._equipment.tasks.spawn(self._deliver(params, fault.delay_s, token))

    async def _deliver(self, params: Mapping[str, str], delay_s: float, token: str) -> None:
        assert self.hook is not None, "only queued with a hook"
        # Outside the lock, so that the delay of one event does not add to that of the next.
        await asyncio.sleep(delay_s)
        # First come, first served: events leave in the order in which they were queued.
        async with self._turn:
            await self._equipment.webhooks.post("status", self.hook, params, token)
