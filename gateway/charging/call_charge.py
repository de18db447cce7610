"""What one call pays: its first hold, its end for want of credit, its warnings, its final price.

The bridge says when a call is funded, answered and over; the meter's rounds say what was granted.
Knows no leg and no carrier.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from billing.caps import caps_of, day_left
from billing.cdr import CallClosed, CallOpened, EndedBy
from billing.errors import StoreUnavailableError
from billing.meter import SHARERS_PER_CALL, CallMeter, CutOff, MeterState
from billing.ports import (
    CloseResult,
    Closing,
    Opening,
    OpenOutcome,
    OpenResult,
    SpendCap,
    SpendGate,
)
from billing.rating import Rate
from billing.warnings import Change, EndWarnings
from gateway.browser import messages as wire
from gateway.browser import reports
from gateway.call.machine import Ended, Event, HoldPlaced, HoldRefused
from gateway.cause import Cause
from gateway.charging.closings import reopening
from gateway.charging.rounds import Metering
from gateway.heartbeat.ticker import Deadline, Ticker
from gateway.ports import CallOrder
from gateway.settings import Settings

log = logging.getLogger(__name__)

ASK_AGAIN_S = 0.3
"""How long the spend gate may take to say, at the cut-off, whether credit has come meanwhile."""

_SETTLE_BACKOFF_S_MAX = 10.0

_LATE_HOLD_S = 5.0
"""How long a request to the spend gate may still be on its way after its time-out."""

_CUT_OFFS: dict[CutOff, tuple[Cause, EndedBy]] = {
    CutOff.CREDIT: (Cause.ALLOTTED_TIMEOUT, "credit"),
    CutOff.CAP: (Cause.ALLOTTED_TIMEOUT, "limit"),
    CutOff.DURATION: (Cause.ALLOTTED_TIMEOUT, "limit"),
    CutOff.GRACE: (Cause.NORMAL_TEMPORARY_FAILURE, "gateway"),
}

Notify = Callable[[str, Mapping[str, Any]], None]
"""Takes the name of an event and what it says."""


def to_nobody(_name: str, _data: Mapping[str, Any]) -> None:
    """Nobody is told of events."""


Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine of a call in the background; the node waits for it when it stops."""

Keep = Callable[[Opening, Closing], None]
"""Remembers the end of a call until it is booked."""

_T = TypeVar("_T")


class Report(Protocol):
    """Takes what happens to the call."""

    def __call__(self, event: Event, at_ns: int | None = None) -> None:
        """Take one event; `at_ns` is when it happened, None for now."""


class Charging:
    """The money of one call."""

    # A dict of so many attributes is not shared between calls, and takes a kilobyte of each.
    __slots__ = (
        "_at_gate",
        "_balance_micros",
        "_beep",
        "_caps",
        "_caps_end_ns",
        "_carrier_call_id",
        "_closed",
        "_cut_off",
        "_cut_off_ns",
        "_gate",
        "_has_hold",
        "_is_asking",
        "_is_reopening",
        "_keep",
        "_limit",
        "_metering",
        "_named_in",
        "_notify",
        "_opened",
        "_order",
        "_report",
        "_seconds_max",
        "_settings",
        "_spawn",
        "_tell",
        "_ticker",
        "_wall",
        "_warnings",
        "account_id",
        "final",
        "meter",
        "ran_out_of",
        "rate",
        "refusal",
    )

    meter: CallMeter
    """Charges the call; there is none before the first hold is placed."""

    def __init__(
        self,
        opened: CallOpened,
        order: CallOrder,
        wall: reports.WallClock,
        *,
        settings: Settings,
        gate: SpendGate,
        metering: Metering,
        ticker: Ticker,
        spawn: Spawn,
        notify: Notify,
        report: Report,
        tell: Callable[[wire.GatewayMessage], None],
        beep: Callable[[], None],
        closed: Callable[[int], CallClosed],
        keep: Keep,
    ) -> None:
        """`closed` returns what is kept of the ended call, by the seconds it is charged for.

        `keep` is given its closing, and how it would be opened again.
        """
        self.account_id = order.account_id
        self.rate = Rate.from_json(order.rate)
        self.refusal = ""
        """Why the first hold was refused, as a code for the caller."""
        self.final = (0, 0)
        """Seconds charged and their price in micros, once the call has ended."""
        self.ran_out_of: CutOff | None = None
        """What the call was cut off for want of."""
        self._opened = opened
        self._order = order
        self._wall = wall
        self._settings = settings
        self._gate = gate
        self._metering = metering
        self._ticker = ticker
        self._spawn = spawn
        self._notify = notify
        self._report = report
        self._tell = tell
        self._beep = beep
        self._closed = closed
        self._keep = keep
        self._warnings = EndWarnings()
        self._balance_micros = 0
        self._caps: Sequence[SpendCap] = ()
        self._caps_end_ns = 0
        self._cut_off: Deadline | None = None
        self._cut_off_ns = 0
        self._is_asking = False
        self._is_reopening = False
        self._has_hold = False
        self._at_gate = asyncio.Lock()
        """Held while the call is opened again or closed: what is closed must stay so."""
        self._carrier_call_id = ""
        self._named_in: str | None = None
        """Filling of the spend gate that knows the carrier's name of the call."""
        self._limit = CutOff.DURATION
        self._seconds_max = settings.call_duration_max_s
        if order.call_cap_micros is not None:
            seconds = self.rate.affordable_seconds(order.call_cap_micros, self._seconds_max)
            if seconds < self._seconds_max:
                self._limit, self._seconds_max = CutOff.CAP, seconds

    # The hold.

    async def place_hold(self) -> None:
        """Ask for the first hold; report whether it was placed."""
        if self._seconds_max == 0:
            self._refuse(reports.REFUSALS[OpenResult.CAP_REACHED], Cause.OUTGOING_CALL_BARRED)
            return
        want_micros = self.rate.cost(min(self._settings.prepaid_horizon_s, self._seconds_max))
        sharers = SHARERS_PER_CALL * self._settings.account_calls_max
        try:
            outcome = await self._gate.open(replace(self._opening(want_micros), sharers=sharers))
        except StoreUnavailableError:
            self._hold_unanswered("store_unavailable")
        except Exception:
            log.exception("Call %s: its hold could not be placed.", self._opened.call_id)
            self._hold_unanswered("internal_error")
        else:
            self._hold_answered(outcome)

    def _opening(self, want_micros: int) -> Opening:
        return Opening(
            call_id=self._opened.call_id,
            account_id=self.account_id,
            node=self._settings.node,
            first_micros=self.rate.cost(1),
            want_micros=want_micros,
            concurrent_calls_max=self._settings.account_calls_max,
            detail=msgspec.json.encode(self._opened),
            caps=self.caps(self._ticker.clock_ns()),
            per_minute_micros=self.rate.per_minute_micros,
        )

    def _hold_answered(self, outcome: OpenOutcome) -> None:
        if outcome.result is not OpenResult.OPENED:
            self._refuse(reports.REFUSALS[outcome.result], Cause.OUTGOING_CALL_BARRED)
            return
        self.meter = CallMeter(
            self._opened.call_id,
            self.account_id,
            self.rate,
            outcome.granted_micros,
            seconds_max=self._seconds_max,
            limit=self._limit,
            asked_micros=outcome.wanted_micros,
            horizon_s=self._settings.prepaid_horizon_s,
            grace_s=self._settings.grace_s,
        )
        self._has_hold = True
        self._metering.hold(self)
        self.meter.share(outcome.balance_micros)
        self._balance_micros = outcome.balance_micros + outcome.granted_micros
        self._report(HoldPlaced())

    def _hold_unanswered(self, code: str) -> None:
        """The hold may have been placed all the same, and would stay for ever."""
        self._refuse(code, Cause.NORMAL_TEMPORARY_FAILURE)
        self._spawn(self._void_hold())

    async def _void_hold(self) -> None:
        closing = self._closing()
        if await self._close(closing) is CloseResult.UNKNOWN:
            await asyncio.sleep(_LATE_HOLD_S)
            await self._close(closing)

    def _refuse(self, code: str, cause: Cause) -> None:
        self.refusal = code
        self._report(HoldRefused(cause))

    async def name_carrier_call(self, carrier_call_id: str) -> None:
        """Let whoever settles the call if this node dies know its name at the carrier."""
        self._carrier_call_id = carrier_call_id
        call_id, self._named_in = self._opened.call_id, None
        try:
            name = self._gate.name_carrier_call(call_id, self.account_id, carrier_call_id)
            if (filling := await name) is None:
                self.reopen()
            self._named_in = filling
        except StoreUnavailableError:
            log.info("Call %s: its carrier call could not be noted.", call_id)

    # The rounds of the meter.

    def start(self, answered_ns: int) -> None:
        """Begin to charge; the phone was answered."""
        self.meter.answered(answered_ns)
        self._metering.add(self)
        self._arm_cut_off()

    def heard(self) -> None:
        """Charge for the call, from its answer on: sound has come from the phone."""
        self.meter.heard()

    def stop(self, ended_ns: int) -> None:
        """Cease to charge; the call has ended."""
        self._metering.remove(self)
        if self._cut_off is not None:
            self._cut_off.cancel()
        self.final = self.meter.final(ended_ns)

    def caps(self, now_ns: int) -> Sequence[SpendCap]:
        """Return the spend caps that hold for the call now."""
        if now_ns >= self._caps_end_ns:
            order, at = self._order, self._wall.date(now_ns)
            self._caps = caps_of(
                self.account_id,
                day_cap_micros=order.day_cap_micros,
                month_cap_micros=order.month_cap_micros,
                key_id=order.key_id,
                key_day_cap_micros=order.key_day_cap_micros,
                at=at,
            )
            self._caps_end_ns = now_ns + day_left(at) // timedelta(microseconds=1) * 1_000
        return self._caps

    def charged(self, balance_micros: int | None) -> None:
        """Arm the cut-off anew, and show what the account has left where that is known."""
        if balance_micros is not None:
            self._balance_micros = balance_micros
        self._arm_cut_off()

    def known_in(self, filling: str) -> None:
        """Name the carrier's call again to a gate that was filled since, or missed it."""
        if self._carrier_call_id and filling != self._named_in and self._has_hold:
            # One request is enough; when it fails, the next word is the next occasion.
            self._named_in = filling
            self._spawn(self.name_carrier_call(self._carrier_call_id))

    def disowned(self) -> None:
        """Another node has settled this call."""
        self._report(Ended(Cause.NORMAL_TEMPORARY_FAILURE, "gateway"))

    def barred(self) -> None:
        """The account was frozen."""
        self._report(Ended(Cause.MANAGER_REQUEST, "operator"))

    def reopen(self) -> None:
        """Tell the spend gate of the call again, with all that it has used."""
        if not self._is_reopening:
            self._is_reopening = True
            self._spawn(self._reopen())

    async def _reopen(self) -> None:
        try:
            async with self._at_gate:
                if self._has_hold:
                    await self._open_again(self._owed_micros())
        except StoreUnavailableError:
            log.info("Call %s cannot be opened again yet.", self._opened.call_id)
        finally:
            self._is_reopening = False

    def _owed_micros(self) -> int:
        """Return what the gate must hold for the call."""
        if self.meter.state is MeterState.ENDED:
            return self.final[1]
        # What the book may know it to hold, it must hold again.
        return max(self.meter.want_micros(self._ticker.clock_ns()), self.meter.granted_micros)

    async def _open_again(self, want_micros: int) -> None:
        result = (await self._gate.open(reopening(self._opening(0), want_micros))).result
        if result is OpenResult.ALREADY_CLOSED:
            self.disowned()
            return
        log.warning("Call %s, lost by the credit store: %s.", self._opened.call_id, result.value)
        if result is OpenResult.OPENED and self._carrier_call_id:
            await self.name_carrier_call(self._carrier_call_id)

    # The cut-off.

    def _arm_cut_off(self) -> None:
        """See that `_cut` is called no later than the cut-off; called too early, it arms anew."""
        due_ns = self.meter.cut_off_ns
        if due_ns is None or self._is_asking:
            return
        if self._cut_off is not None:
            if self._cut_off_ns <= due_ns:
                return
            self._cut_off.cancel()
        self._cut_off_ns = due_ns
        self._cut_off = self._ticker.at(due_ns, self._cut)

    def _cut(self) -> None:
        """The paid time is over; charge no second beyond it."""
        self._cut_off = None
        due_ns, now_ns = self.meter.cut_off_ns, self._ticker.clock_ns()
        if due_ns is None or due_ns > now_ns:
            self._arm_cut_off()
        elif self.meter.is_overdue(now_ns):
            self.overdue()
        elif self.meter.is_at_limit or self.meter.cut_off is CutOff.GRACE:
            self._end(due_ns, self.meter.cut_off)
        else:
            self._is_asking = True
            self._spawn(self._ask_again(due_ns))

    async def _ask_again(self, due_ns: int) -> None:
        """Ask the spend gate once more: credit that came in the last second saves the call."""
        try:
            async with asyncio.timeout(ASK_AGAIN_S):
                await self._metering.hurry(self.account_id)
        except TimeoutError:
            log.info("Call %s: no word on credit at its cut-off.", self._opened.call_id)
            # As far as the credit that is known of reaches, the call may wait for the store.
            self.meter.unavailable(self._ticker.clock_ns())
        finally:
            self._is_asking = False
        if self.meter.state is MeterState.ENDED:
            return
        if self.meter.cut_off_ns == due_ns:
            self._end(due_ns, self.meter.cut_off)
        else:
            self._arm_cut_off()

    def overdue(self) -> None:
        """This process stood still past the call's end: the call ends there, whatever has come."""
        due_ns = self.meter.cut_off_ns
        assert due_ns is not None
        is_ours = self.meter.remaining_s(self._ticker.clock_ns()) > 0
        self._end(due_ns, CutOff.GRACE if is_ours else self.meter.runs_out_of)

    def _end(self, due_ns: int, ran_out_of: CutOff) -> None:
        self.ran_out_of = ran_out_of
        cause, ended_by = _CUT_OFFS[ran_out_of]
        self._report(Ended(cause, ended_by), due_ns)
        self._note("call.cut_off", cause=ran_out_of.value, seconds=self.final[0])

    # The caller.

    def used(self) -> tuple[int, int]:
        """Return the seconds charged for so far and their price in micros."""
        now_ns = self._ticker.clock_ns()
        return self.meter.owed_s(now_ns), self.meter.cost_micros(now_ns)

    @property
    def unused_micros(self) -> int:
        """What the gate holds for the call beyond what it has used: still the account's."""
        return self.meter.unused_micros(self._ticker.clock_ns()) if self._has_hold else 0

    def bill(self, now_ns: int) -> tuple[wire.Cost, wire.Credit]:
        """Return what has been used and what is left."""
        currency = self._order.currency
        return (
            wire.Cost(
                seconds=self.meter.owed_s(now_ns),
                cost=reports.money(self.meter.cost_micros(now_ns), currency),
            ),
            wire.Credit(
                balance=reports.money(self._balance_micros, currency),
                remaining_seconds=self.meter.remaining_s(now_ns),
            ),
        )

    def warn(self, now_ns: int, *, is_back: bool = False) -> None:
        """Warn the caller of the end, or take it back; tell one who is back of what holds."""
        left_s = self.meter.remaining_s(now_ns)
        change = self._warnings.note(left_s)
        if change is Change.GIVEN or (is_back and self._warnings.is_standing):
            cause = reports.LACKS[self.meter.runs_out_of]
            self._tell(wire.CreditWarning(seconds_left=left_s, cause=cause))
            if change is Change.GIVEN:
                self._beep()
                self._note("call.credit_warning", cause=cause, seconds_left=left_s)
        elif change is Change.TAKEN_BACK:
            self._tell(wire.CreditWarningCleared(seconds_left=left_s))

    def _note(self, name: str, **data: Any) -> None:
        call_id = self._opened.call_id
        self._notify(name, {"account_id": self.account_id, "call_id": call_id, **data})

    # The final price.

    async def settle(self) -> None:
        """Post the final price; other calls of the account get what was held too much."""
        async with self._at_gate:
            closing = self._closing()
            self._keep(reopening(self._opening(0), self.final[1]), closing)
            if await self._close(closing) is CloseResult.UNKNOWN:
                await self._persist(lambda: self._open_again(self.final[1]))
                if await self._close(closing) is CloseResult.UNKNOWN:
                    log.error("Call %s could not be settled.", self._opened.call_id)
            self._has_hold = False
            self._metering.release(self)
        await self._metering.hurry(self.account_id)

    def _closing(self) -> Closing:
        seconds, micros = self.final
        return Closing(
            call_id=self._opened.call_id,
            account_id=self.account_id,
            final_micros=micros,
            seconds=seconds,
            detail=msgspec.json.encode(self._closed(seconds)),
            is_out_of_credit=self.ran_out_of is CutOff.CREDIT,
        )

    async def _close(self, closing: Closing) -> CloseResult:
        return (await self._persist(lambda: self._gate.close(closing))).result

    async def _persist(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask the spend gate as often as it takes to be answered."""
        backoff_s = 0.5
        while True:
            try:
                return await ask()
            except StoreUnavailableError:
                log.warning("Call %s cannot be settled yet; trying again.", self._opened.call_id)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _SETTLE_BACKOFF_S_MAX)
