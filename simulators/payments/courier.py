"""Runs the loop of the simulated service: does what is due, and delivers webhooks like Stripe.

Knows HTTP and signatures; what is due, and what follows a failure, is decided by `world`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import aiohttp

from simulators.payments.clock import NS_PER_S, Clock
from simulators.payments.errors import ApiError
from simulators.payments.outbox import Attempt
from simulators.payments.resources import Event
from simulators.payments.signing import SIGNATURE_HEADER, sign
from simulators.payments.world import World, encode

IN_FLIGHT_MAX: Final = 32
USER_AGENT: Final = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
# How late something may be after the clock of the machine was put back or forth.
_NAP_S: Final = 60.0
_log = logging.getLogger(__name__)


class Courier:
    """The one task that carries out what is due, and the deliveries that it has begun."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._awake = asyncio.Event()
        self._deliveries: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the loop; must run on the event loop that goes on with it."""
        self._session = aiohttp.ClientSession(
            headers={"Accept": "*/*", "User-Agent": USER_AGENT},
            timeout=aiohttp.ClientTimeout(total=self._world.settings.webhook_timeout_s),
        )
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Leave everything that is not delivered undelivered."""
        tasks = [task for task in (self._task, *self._deliveries) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def wake(self) -> None:
        """Look for what is due now: something has changed."""
        self._awake.set()

    async def _run(self) -> None:
        while True:
            # Before anything is looked at: what changes from here on starts another round.
            self._awake.clear()
            now_ns = self._clock.now_ns()
            try:
                self._world.schedule.advance(now_ns)
            except ApiError as error:
                # What it was about has been forgotten: there are bounds.
                _log.warning("appointment of a forgotten object", exc_info=error)
                # Its appointment is gone, so that this ends; the others of the turn are still due.
                continue
            # Bounded by what is under way: a slow receiver leaves the rest in the queue.
            for attempt in self._world.outbox.due(now_ns, IN_FLIGHT_MAX - len(self._deliveries)):
                task = asyncio.create_task(self._deliver(attempt))
                self._deliveries.add(task)
                task.add_done_callback(self._done)
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._awake.wait()
            except TimeoutError:
                pass

    def _pause_s(self) -> float:
        due = [self._world.schedule.next_ns]
        # With all places taken a due attempt must not shorten the pause to nothing; a delivery that
        # ends wakes the loop.
        if len(self._deliveries) < IN_FLIGHT_MAX:
            due.append(self._world.outbox.next_ns)
        nearest = min((at_ns for at_ns in due if at_ns is not None), default=None)
        if nearest is None:
            return _NAP_S
        return min(max(0.0, (nearest - self._clock.now_ns()) / NS_PER_S), _NAP_S)

    async def _deliver(self, attempt: Attempt) -> None:
        event = self._world.registry.look_up(attempt.event_id)
        # Forgotten at a bound before its turn came: there is nothing to report on.
        if not isinstance(event, Event):
            return
        # A lost attempt never leaves; a failed one arrives, and its good reply is not believed.
        status = 0 if attempt.is_lost else await self._post(event)
        self._world.outbox.note_outcome(
            attempt, event, 500 if attempt.is_failed else status, self._clock.now_ns()
        )

    async def _post(self, event: Event) -> int:
        """Return the HTTP status of the reply, 0 when there was none."""
        assert self._session is not None, "started"
        settings, fault = self._world.settings, self._world.faults.plan.deliveries
        # At each attempt again: `pending_webhooks` may have changed since the last one.
        body = encode(event)
        # Real time: the receiver compares it with a clock that nobody has moved.
        signed_at_s = self._clock.real_ns() // NS_PER_S - round(fault.signature_age_s)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            SIGNATURE_HEADER: sign(body, settings.webhook_secret, signed_at_s),
        }
        try:
            # Stripe follows no redirect: one counts as a failure.
            async with self._session.post(
                settings.webhook_url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    def _done(self, task: asyncio.Task[None]) -> None:
        # Also called for the loop's own task, which is in no set.
        self._deliveries.discard(task)
        self._awake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background task failed", exc_info=error)
