"""The meter's rounds: each second, one batched claim per partition for all calls of this node.

The partitions go in eight groups, 125 ms apart, so that no round blocks the loop for long. A round
that is still waiting for the spend gate is not begun again. Knows no socket and no carrier.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from billing.errors import StoreUnavailableError
from billing.meter import CallMeter
from billing.ports import SpendGate, TickOutcome

log = logging.getLogger(__name__)

GROUPS = 8
GROUP_INTERVAL_NS = 1_000_000_000 // GROUPS


class MeteredCall(Protocol):
    """A live call that the rounds charge."""

    meter: CallMeter
    account_id: str

    def charged(self, balance_micros: int | None) -> None:
        """The meter has news: a new cut-off, and what the account has left, if that is known."""

    def disowned(self) -> None:
        """The spend gate no longer knows the call: it was settled elsewhere."""


class Metering:
    """Charges the live calls of one node."""

    def __init__(self, gate: SpendGate, clock_ns: Callable[[], int]) -> None:
        self._gate = gate
        self._clock_ns = clock_ns
        self._partitions: dict[int, dict[str, MeteredCall]] = {}
        self._rounds: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self.is_gate_away = False

    def start(self) -> None:
        """Begin the rounds on the running loop."""
        self._loop = asyncio.get_running_loop().create_task(self._run(), name="metering")

    async def stop(self) -> None:
        """End the rounds; those under way are awaited."""
        if self._loop is not None:
            self._loop.cancel()
        pending = [t for t in (self._loop, *self._rounds.values()) if t is not None]
        await asyncio.gather(*pending, return_exceptions=True)

    def add(self, call: MeteredCall) -> None:
        """Charge this call from now on."""
        partition = self._gate.partition(call.account_id)
        self._partitions.setdefault(partition, {})[call.meter.call_id] = call

    def remove(self, call: MeteredCall) -> None:
        """No longer charge this call."""
        partition = self._gate.partition(call.account_id)
        calls = self._partitions.get(partition, {})
        calls.pop(call.meter.call_id, None)
        if not calls:
            self._partitions.pop(partition, None)

    async def _run(self) -> None:
        due_ns = self._clock_ns()
        while True:
            due_ns += GROUP_INTERVAL_NS
            await asyncio.sleep(max(0, due_ns - self._clock_ns()) / 1e9)
            self._begin_round(due_ns // GROUP_INTERVAL_NS % GROUPS)

    def _begin_round(self, group: int) -> None:
        for partition in [p for p in self._partitions if p % GROUPS == group]:
            if partition not in self._rounds:
                task = asyncio.get_running_loop().create_task(self._round(partition))
                self._rounds[partition] = task
                task.add_done_callback(partial(self._round_over, partition))

    def _round_over(self, partition: int, task: asyncio.Task[None]) -> None:
        self._rounds.pop(partition, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A round of the meter failed.", exc_info=error)

    async def _round(self, partition: int) -> None:
        now_ns = self._clock_ns()
        calls = dict(self._partitions.get(partition, {}))
        ticks = {call_id: call.meter.tick(now_ns) for call_id, call in calls.items()}
        try:
            outcome = await self._gate.tick(partition, list(ticks.values()))
        except StoreUnavailableError:
            self._note_gate(away=True)
            outcome = None
        else:
            self._note_gate(away=False)
        current = self._partitions.get(partition, {})
        for call in calls.values():
            # A call that ended while the gate was asked is charged by its closing.
            if current.get(call.meter.call_id) is call:
                self._apply(call, outcome)

    def _apply(self, call: MeteredCall, outcome: TickOutcome | None) -> None:
        call_id, now_ns = call.meter.call_id, self._clock_ns()
        if outcome is None:
            call.meter.unavailable(now_ns)
            call.charged(None)
        elif call_id in outcome.unknown:
            call.disowned()
        else:
            call.meter.granted(outcome.short.get(call_id), now_ns)
            call.charged(outcome.balances[call.account_id])

    def _note_gate(self, *, away: bool) -> None:
        if away != self.is_gate_away:
            self.is_gate_away = away
            log.warning("The credit store is away." if away else "The credit store is back.")
