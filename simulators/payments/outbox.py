"""Schedules the delivery of webhooks: retries, duplicates and reordering. Pure.

Knows events by identifier and type, and no HTTP: the courier asks what is due and reports the
result.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import asdict, dataclass
from typing import Final
from zlib import crc32

from simulators.payments.clock import NS_PER_S
from simulators.payments.faults import Faults
from simulators.payments.resources import Event, Json

LOG_MAX: Final = 5000
QUEUE_MAX: Final = 200_000
"""Deliveries that wait; further ones are not made, and their events stay undelivered."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver one event."""

    event_id: str
    number: int
    """Counts from 1."""
    is_lost: bool = False
    """Whether it gets lost on the way."""
    is_failed: bool = False
    """Whether it counts as answered with 500, whatever the reply."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of an attempt."""

    event_id: str
    type: str
    attempt: int
    status: int
    """HTTP status; 0 when there was no reply."""
    at_ns: int


class Outbox:
    """The deliveries that are still to be made, and a bounded log of those made.

    Args:
        retries_s: pauses before each further attempt; after the last one an event has failed.
        faults: the faults to inject.
    """

    def __init__(self, retries_s: tuple[float, ...], faults: Faults) -> None:
        self._retries_s = retries_s
        self._faults = faults
        self._queue: list[tuple[int, int, str, int]] = []
        self._counter = 0
        self._log: deque[Delivery] = deque(maxlen=LOG_MAX)

    def add(self, event: Event, now_ns: int) -> None:
        """Deliver a new event, as well or badly as the faults ask for."""
        if self._faults.drops(event.type):
            return
        fault = self._faults.plan.deliveries
        # Each copy is delivered and repeated for itself, as duplicates of Stripe's are.
        for copy in range(fault.duplicate + 1):
            # A share of the longest wait from the identifier: any order, and the same in each run.
            share = crc32(b"%s:%d" % (event.id.encode(), copy)) % 1000 / 1000
            self._push(now_ns, fault.delay_s + fault.shuffle_s * share, event.id, 1)

    def redeliver(self, event: Event, now_ns: int) -> None:
        """Deliver an event once more, whatever became of it."""
        self._push(now_ns, 0.0, event.id, 1)

    def due(self, now_ns: int, count_max: int) -> list[Attempt]:
        """Return the attempts that are due now, at most `count_max`."""
        attempts: list[Attempt] = []
        while self._queue and self._queue[0][0] <= now_ns and len(attempts) < count_max:
            # Faults are counted here, at the attempt: what waits in the queue may meet another
            # plan.
            _, _, event_id, number = heapq.heappop(self._queue)
            attempts.append(Attempt(event_id, number, *self._faults.attempt()))
        return attempts

    def note_outcome(self, attempt: Attempt, event: Event, status: int, now_ns: int) -> None:
        """Note how an attempt went; one without a 2xx reply is repeated after a while.

        Args:
            attempt: as `due` returned it.
            event: its event; `pending_webhooks` is brought up to date.
            status: HTTP status, 0 without a reply.
            now_ns: the time, in nanoseconds of the epoch.
        """
        self._log.append(Delivery(event.id, event.type, attempt.number, status, now_ns))
        # Redirects count as failures, as with Stripe, which follows none.
        if 200 <= status < 300:
            event.pending_webhooks = 0
        elif attempt.number <= len(self._retries_s):
            # After the last pause the event stays undelivered: nothing is pushed any more.
            pause_s = self._retries_s[attempt.number - 1]
            self._push(now_ns, pause_s, event.id, attempt.number + 1)

    @property
    def next_ns(self) -> int | None:
        """When the next attempt is due; None when everything is delivered or has failed."""
        return self._queue[0][0] if self._queue else None

    def log(self) -> list[Json]:
        """Return the outcomes of the attempts, oldest first."""
        return [asdict(delivery) for delivery in self._log]

    def clear_log(self) -> None:
        """Forget the outcomes of the attempts."""
        self._log.clear()

    def _push(self, now_ns: int, pause_s: float, event_id: str, number: int) -> None:
        # A receiver that is away for long must not fill the memory.
        if len(self._queue) >= QUEUE_MAX:
            return
        self._counter += 1
        at_ns = now_ns + round(pause_s * NS_PER_S)
        # The counter decides between equal times: events leave in the order in which they happened.
        heapq.heappush(self._queue, (at_ns, self._counter, event_id, number))
