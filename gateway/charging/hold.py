"""Places one call's hold at the spend gate, and places it again if the gate has lost it.

Also tells the gate the carrier's id of the call, so that another node can end and settle the call
if this one dies. The meter decides what the call costs; the caps of its spending limits change at
midnight UTC.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec
import structlog

from billing.meter import SHARERS_PER_CALL, CallMeter, MeterState
from billing.ports import Opening, OpenOutcome, OpenResult, SpendCap
from billing.rating import Rate
from billing.spend_limits import SpendLimits, day_left
from database.errors import StoreUnavailableError
from gateway.browser.reports import WallClock
from gateway.call.machine import Ended
from gateway.cause import Cause
from gateway.charging.closings import reopening
from gateway.charging.context import CallContext


class CallCaps:
    """The caps that follow from a call's limits, computed once a day."""

    __slots__ = ("_caps", "_end_ns", "_limits", "_wall")

    def __init__(self, limits: SpendLimits, wall: WallClock) -> None:
        self._limits = limits
        self._wall = wall
        self._caps: Sequence[SpendCap] = ()
        self._end_ns = 0
        """Monotonic time at which the caps have to be computed again."""

    def at(self, now_ns: int) -> Sequence[SpendCap]:
        """Return the caps that hold at a monotonic time."""
        # The period is part of a cap's name, so that midnight needs new caps and no reset.
        if now_ns >= self._end_ns:
            at = self._wall.date(now_ns)
            self._caps = self._limits.caps(at)
            self._end_ns = now_ns + day_left(at) // timedelta(microseconds=1) * 1_000
        return self._caps


log = structlog.get_logger(__name__)


class CallHold:
    """The hold of one call."""

    __slots__ = (
        "_caps",
        "_carrier_call_id",
        "_context",
        "_is_naming",
        "_is_reopening",
        "_lock",
        "_meter",
        "_named_in",
        "_rate",
        "is_open",
        "is_settled_elsewhere",
    )

    _meter: CallMeter
    """Charges the call; absent before the first hold is placed."""

    def __init__(self, context: CallContext, rate: Rate, caps: CallCaps) -> None:
        self._context = context
        self._rate = rate
        self._caps = caps
        self.is_open = False
        """Whether the gate holds credit for the call, as far as is known."""
        self.is_settled_elsewhere = False
        """Whether the gate has reported that the call was settled by another node."""
        self._lock: asyncio.Lock | None = None
        self._is_reopening = False
        self._carrier_call_id = ""
        self._named_in: str | None = None
        self._is_naming = False
        """The filling of the spend gate that knows the carrier's id of the call."""

    @property
    def lock(self) -> asyncio.Lock:
        """Held while the call is reopened or closed: a closed call must stay closed."""
        # Created on first use: few calls are reopened.
        if self._lock is None:
            self._lock = asyncio.Lock()
        return self._lock

    @property
    def caps(self) -> Sequence[SpendCap]:
        """The spend caps that hold for the call now."""
        return self._caps.at(self._context.now_ns())

    def opening(self, want_micros: int) -> Opening:
        """Return the request that opens the call."""
        context = self._context
        settings = context.services.settings
        visitor = context.order.visitor
        return Opening(
            call_id=context.opened.call_id,
            account_id=context.opened.account_id,
            node=settings.node,
            # Increments are paid for whole: the first second costs what the first increment does.
            first_micros=self._rate.cost(1),
            want_micros=want_micros,
            concurrent_calls_max=settings.account_calls_max,
            detail=msgspec.json.encode(context.opened),
            caps=self.caps,
            per_minute_micros=self._rate.per_minute_micros,
            key_id=context.order.key_id,
            key_calls_max=0 if visitor is None else visitor.calls_max,
        )

    async def place(self, want_micros: int) -> OpenOutcome:
        """Ask for the first hold.

        Raises StoreUnavailableError; the hold may have been placed even so.
        """
        services = self._context.services
        # A hold is never taken back, and it is not yet known how many calls follow this one: it
        # gets no more than a fair part of the balance.
        sharers = SHARERS_PER_CALL * services.settings.account_calls_max
        return await services.gate.open(replace(self.opening(want_micros), sharers=sharers))

    def placed(self, meter: CallMeter) -> None:
        """Note that the gate holds credit for the call, which this meter spends."""
        self._meter = meter
        self.is_open = True

    async def name_carrier_call(self, carrier_call_id: str) -> None:
        """Tell the gate the carrier's id of the call: another node may have to settle it."""
        self._carrier_call_id = carrier_call_id
        opened = self._context.opened
        self._named_in = None
        self._is_naming = True
        gate = self._context.services.gate
        try:
            name = gate.name_carrier_call(opened.call_id, opened.account_id, carrier_call_id)
            if (filling := await name) is None:
                # The gate has lost the call. Once it is reopened, the id is sent again.
                self.reopen()
            self._named_in = filling
        except StoreUnavailableError:
            # `known_in` finds it unnamed, and sends it again.
            log.info("carrier call id not stored in the spend gate", call_id=opened.call_id)
        finally:
            self._is_naming = False

    def known_in(self, filling: str) -> None:
        """Send the carrier's id again to a gate that was refilled since, or that missed it."""
        is_named = filling == self._named_in or self._is_naming
        if self._carrier_call_id and self.is_open and not is_named:
            # Marked before it begins: one is enough, and if it fails the next round repeats it.
            self._is_naming = True
            self._context.services.spawn(self.name_carrier_call(self._carrier_call_id))

    def reopen(self) -> None:
        """Reopen the call at a gate that has lost it, with all that it has used."""
        # Every tick finds the call lost until it is reopened; one task at a time is enough.
        if not self._is_reopening:
            self._is_reopening = True
            self._context.services.spawn(self._reopen())

    async def _reopen(self) -> None:
        try:
            async with self.lock:
                # Settled while this waited for the lock: a closed call must stay closed.
                if self.is_open:
                    await self.open_again(self._owed_micros())
        except StoreUnavailableError:
            log.info("call not opened again yet", call_id=self._context.opened.call_id)
        finally:
            self._is_reopening = False

    def _owed_micros(self) -> int:
        """Return what the gate must hold for the call, in micros."""
        now_ns = self._context.now_ns()
        if self._meter.state is MeterState.ENDED:
            return self._meter.final(now_ns)[1]
        # Not less than was granted before: the book may know that from the outbox.
        return max(self._meter.want_micros(now_ns), self._meter.granted_micros)

    async def open_again(self, want_micros: int) -> None:
        """Ask the gate to hold this much for the call again; the lock must be held.

        Raises StoreUnavailableError.
        """
        context = self._context
        opening = reopening(self.opening(0), want_micros)
        result = (await context.services.gate.open(opening)).result
        # Only a tombstone distinguishes a settled call from one that the gate has lost.
        if result is OpenResult.ALREADY_CLOSED:
            self.settled_elsewhere()
            return
        log.warning("call lost by the spend gate", call_id=opening.call_id, result=result.value)
        if result is OpenResult.OPENED and self._carrier_call_id:
            await self.name_carrier_call(self._carrier_call_id)

    def settled_elsewhere(self) -> None:
        """End the call: another node has settled it."""
        # Before the event, whose commands tell the caller what the call has cost.
        self.is_settled_elsewhere = True
        self._context.call.receive(Ended(Cause.NORMAL_TEMPORARY_FAILURE, "gateway"))
