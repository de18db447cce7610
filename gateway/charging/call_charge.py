"""Charges one call: connects its bridge and the meter's rounds to the parts that do the work.

The bridge reports when the call must be paid for, is answered and is over; the rounds report what
was granted. The parts are `hold`, `cut_off`, `advice_of_charge` and `settlement`.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from billing.meter import CallMeter, CutOff
from billing.ports import CloseResult, OpenOutcome, OpenResult, SpendCap
from billing.rating import Rate
from database.errors import StoreUnavailableError
from gateway.browser import messages as wire
from gateway.browser import reports
from gateway.call.machine import Ended, HoldPlaced, HoldRefused
from gateway.cause import Cause
from gateway.charging.advice_of_charge import AdviceOfCharge
from gateway.charging.context import CallContext
from gateway.charging.cut_off import CutOffTimer
from gateway.charging.hold import CallCaps, CallHold
from gateway.charging.settlement import Settlement
from gateway.embed.refusals import told_to_visitor

log = structlog.get_logger(__name__)


class CallCharge:
    """The charge of one call."""

    __slots__ = (
        "_advice",
        "_caps",
        "_context",
        "_cut_off",
        "_final",
        "_has_stood",
        "_hold",
        "_is_posted",
        "account_id",
        "meter",
        "rate",
        "refusal",
    )

    meter: CallMeter
    """Charges the call; absent before the first hold is placed."""

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self.account_id = context.order.account_id
        self.rate = Rate.from_json(context.order.rate)
        self._caps = CallCaps(context.order.limits, context.wall)
        self._hold = CallHold(context, self.rate, self._caps)
        self._cut_off = CutOffTimer(context)
        self._advice = AdviceOfCharge(context)
        self.refusal = ""
        """Why the first hold was refused, as a code for the caller."""
        self._final = (0, 0)
        """Seconds charged and their price in micros, once the call has ended."""
        self._has_stood = self._is_posted = False
        """Whether another node may have settled the call; whether it is known which one did."""

    # The first hold.

    async def place_hold(self) -> None:
        """Ask for the first hold; report whether it was placed."""
        seconds_max, limit = self._longest()
        # A cap per call that does not pay for the first increment needs no script to find out.
        if seconds_max == 0:
            self._refuse(reports.REFUSALS[OpenResult.CAP_REACHED], Cause.OUTGOING_CALL_BARRED)
            return
        settings = self._context.services.settings
        want_micros = self.rate.cost(min(settings.prepaid_horizon_s, seconds_max))
        try:
            outcome = await self._hold.place(want_micros)
            too_many = await self._counted(outcome)
        except StoreUnavailableError:
            self._refuse_and_void("store_unavailable", Cause.NORMAL_TEMPORARY_FAILURE)
        except Exception:
            # No deadline ends a call that waits for its first hold: it must hear something.
            log.exception("hold not placed", call_id=self._context.opened.call_id)
            self._refuse_and_void("internal_error", Cause.NORMAL_TEMPORARY_FAILURE)
        else:
            if too_many:
                self._refuse_and_void(too_many, Cause.SERVICE_UNAVAILABLE)
            else:
                self._hold_answered(outcome, seconds_max, limit)

    async def _counted(self, outcome: OpenOutcome) -> str:
        """Count the call, if its hold is placed; return the code of why it may not continue."""
        context = self._context
        is_placed = outcome.result is OpenResult.OPENED
        return await context.services.count(context.order) if is_placed else ""

    def _longest(self) -> tuple[int, CutOff]:
        """Return how many seconds the call may last, and what limits them."""
        order = self._context.order
        longest_s = self._context.services.settings.call_duration_max_s
        if order.visitor is not None:
            longest_s = min(longest_s, order.visitor.seconds_max)
        limit_micros = order.limits.call_micros
        if limit_micros is not None:
            seconds = self.rate.affordable_seconds(limit_micros, longest_s)
            if seconds < longest_s:
                return seconds, CutOff.CAP
        return longest_s, CutOff.DURATION

    def _hold_answered(self, outcome: OpenOutcome, seconds_max: int, limit: CutOff) -> None:
        if outcome.result is not OpenResult.OPENED:
            self._refuse(reports.REFUSALS[outcome.result], Cause.OUTGOING_CALL_BARRED)
            return
        services = self._context.services
        self.meter = CallMeter(
            self._context.opened.call_id,
            self.account_id,
            self.rate,
            outcome.granted_micros,
            seconds_max=seconds_max,
            limit=limit,
            asked_micros=outcome.wanted_micros,
            horizon_s=services.settings.prepaid_horizon_s,
            grace_s=services.settings.grace_s,
        )
        self._hold.placed(self.meter)
        services.metering.hold(self)
        # Until the first round says what other calls need, this one counts on all that is left.
        self.meter.share(outcome.balance_micros)
        # Nothing of the hold is used yet, and unused credit is shown as the account's.
        self._advice.balance_micros = outcome.balance_micros + outcome.granted_micros
        self._context.call.receive(HoldPlaced())

    def _refuse_and_void(self, code: str, cause: Cause) -> None:
        """Refuse the call, and void its hold if one was, or may have been, placed."""
        self._refuse(code, cause)
        # Without this it would stay held until the sweeper finds a call that no bridge holds.
        self._context.services.spawn(Settlement(self._context, self._hold).void())

    def _refuse(self, code: str, cause: Cause) -> None:
        self.refusal = code
        self._context.services.refused(self._context.order, code)
        self._context.call.receive(HoldRefused(cause))

    # What the bridge reports.

    async def name_carrier_call(self, carrier_call_id: str) -> None:
        """Tell the spend gate the carrier's id of the call."""
        await self._hold.name_carrier_call(carrier_call_id)

    def start(self, answered_ns: int) -> None:
        """Begin to charge; the phone was answered."""
        answered_at = self._context.wall.date(answered_ns)
        self.meter.answered(answered_ns, round(answered_at.timestamp() * 1000))
        self._context.services.metering.add(self)
        self._cut_off.start(self.meter)

    def heard(self) -> None:
        """Note that sound has come from the phone: the call is owed, back to its answer."""
        self.meter.heard()

    def stop(self, ended_ns: int) -> None:
        """Stop charging; the call has ended."""
        # A claim may still be on its way: the closing returns what it is granted.
        self._context.services.metering.remove(self)
        self._cut_off.cancel()
        self._final = self.meter.final(ended_ns)
        self._has_stood = self._context.may_be_settled()

    async def settle(self) -> bool:
        """Post the final price; return whether this node, and not another, did that."""
        settlement = Settlement(self._context, self._hold)
        is_out_of_credit = self.ran_out_of is CutOff.CREDIT
        outcome = await settlement.settle(*self._final, is_out_of_credit=is_out_of_credit)
        seconds, _ = self._final
        is_ours = outcome.result is not CloseResult.ALREADY_CLOSED or outcome.is_repeat
        if outcome.result is not CloseResult.UNKNOWN:
            self._final = seconds if is_ours else outcome.seconds, outcome.charged_micros
        self._is_posted = True
        return is_ours

    # What the bridge asks.

    @property
    def told_refusal(self) -> str:
        """Why the first hold was refused, as the caller sees it; empty if it was not."""
        hides = self.refusal and self._context.order.visitor is not None
        return told_to_visitor(self.refusal) if hides else self.refusal

    @property
    def ran_out_of(self) -> CutOff | None:
        """What the call ran out of when it was cut off; None if it was not."""
        return self._cut_off.ran_out_of

    @property
    def final(self) -> tuple[int, int] | None:
        """Seconds charged and their price in micros, once the call has ended.

        None until the price is posted, if another node may have posted it.
        """
        is_doubtful = self._has_stood or self._hold.is_settled_elsewhere
        return None if is_doubtful and not self._is_posted else self._final

    def used(self) -> tuple[int, int] | None:
        """Return the seconds charged for so far and their price in micros.

        None if this process stood still past the call's end, and does not know them.
        """
        now_ns = self._context.now_ns()
        if self.meter.is_overdue(now_ns):
            return None
        return self.meter.owed_s(now_ns), self.meter.cost_micros(now_ns)

    @property
    def unused_micros(self) -> int:
        """What the gate holds for the call beyond what it has used: still the account's credit."""
        return self.meter.unused_micros(self._context.now_ns()) if self._hold.is_open else 0

    def bill(self, now_ns: int) -> tuple[wire.Cost | wire.Credit, ...]:
        """Return what has been used and what is left; nothing for a caller who does not pay.

        Nor after a standstill past the call's end.
        """
        if self.meter.is_overdue(now_ns):
            return ()
        return self._advice.bill(self.meter, now_ns)

    def warn(self, now_ns: int) -> None:
        """Warn the caller that the call will end soon, or withdraw the warning."""
        self._advice.warn(self.meter, now_ns)

    def active_warning(self, now_ns: int) -> wire.CreditWarning | None:
        """Return the active warning of the call's coming end, if any."""
        return self._advice.active_warning(self.meter, now_ns)

    # What the meter's rounds report.

    def caps(self, now_ns: int) -> Sequence[SpendCap]:
        """Return the spend caps that hold for the call now."""
        return self._caps.at(now_ns)

    def charged(self, balance_micros: int | None) -> None:
        """Move the cut-off, and show what the account has left, if that is known."""
        if balance_micros is not None:
            self._advice.balance_micros = balance_micros
        self._cut_off.arm()

    def overdue(self) -> None:
        """End the call as of its cut-off, which passed while this process stood still."""
        self._cut_off.overdue()

    def known_in(self, filling: str) -> None:
        """Tell the carrier's id again to a gate that was refilled since, or that missed it."""
        self._hold.known_in(filling)

    def reopen(self) -> None:
        """Open the call again at a gate that has lost it."""
        self._hold.reopen()

    def settled_elsewhere(self) -> None:
        """End the call: another node has settled it."""
        self._hold.settled_elsewhere()

    def frozen(self) -> None:
        """End the call: its account was frozen."""
        self._context.call.receive(Ended(Cause.MANAGER_REQUEST, "operator"))
