"""Ends a call at its last paid second, after asking the spend gate once more for credit.

The meter says what is paid.
"""

from __future__ import annotations

import asyncio

import structlog

from billing.cdr import EndedBy
from billing.meter import CallMeter, CutOff, MeterState
from gateway.call.machine import Ended
from gateway.cause import Cause
from gateway.charging.context import CallContext
from gateway.heartbeat.ticker import Deadline

log = structlog.get_logger(__name__)

ASK_AGAIN_S = 0.3
"""How long the spend gate may take, at the cut-off, to say whether credit has arrived."""

_CUT_OFFS: dict[CutOff, tuple[Cause, EndedBy]] = {
    CutOff.CREDIT: (Cause.ALLOTTED_TIMEOUT, "credit"),
    CutOff.CAP: (Cause.ALLOTTED_TIMEOUT, "limit"),
    CutOff.DURATION: (Cause.ALLOTTED_TIMEOUT, "limit"),
    # Our store was away: the caller has not run out of anything.
    CutOff.GRACE: (Cause.NORMAL_TEMPORARY_FAILURE, "gateway"),
}


class CutOffTimer:
    """Ends one call that has run out of credit, of a limit or of grace."""

    __slots__ = ("_context", "_deadline", "_due_ns", "_is_asking", "_meter", "ran_out_of")

    _meter: CallMeter
    """Charges the call; absent before the phone is answered."""

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._deadline: Deadline | None = None
        self._due_ns = 0
        """When the deadline is due, while there is one; monotonic."""
        self._is_asking = False
        """Whether the last paid second is over and the gate is being asked for more."""
        self.ran_out_of: CutOff | None = None
        """What the call ran out of when it was cut off; None if it was not."""

    def start(self, meter: CallMeter) -> None:
        """Cut the call off when what this meter has been granted is used up."""
        self._meter = meter
        self.arm()

    def arm(self) -> None:
        """Make sure that `_cut` runs no later than the cut-off; if early, it re-arms itself."""
        due_ns = self._meter.cut_off_ns
        if due_ns is None or self._is_asking:
            return
        if self._deadline is not None:
            # Each tick moves the cut-off on. The deadline stays where it is, since a cancelled one
            # would remain in the ticker's heap: one a second for each call.
            if self._due_ns <= due_ns:
                return
            self._deadline.cancel()
        self._due_ns = due_ns
        self._deadline = self._context.services.ticker.at(due_ns, self._cut)

    def cancel(self) -> None:
        """Stop: the call has ended."""
        if self._deadline is not None:
            self._deadline.cancel()

    def overdue(self) -> None:
        """End the call as of a cut-off that passed while this process stood still.

        Credit that has come since changes nothing.
        """
        due_ns = self._meter.cut_off_ns
        assert due_ns is not None
        # With credit left the call ends because of our standstill, not because of the account.
        is_ours = self._meter.remaining_s(self._context.now_ns()) > 0
        self._end(due_ns, CutOff.GRACE if is_ours else self._meter.runs_out_of)

    def _cut(self) -> None:
        """End the call if its paid time is over; no second beyond it is charged."""
        self._deadline = None
        due_ns = self._meter.cut_off_ns
        now_ns = self._context.now_ns()
        if due_ns is None or due_ns > now_ns:
            self.arm()
        elif self._meter.is_overdue(now_ns):
            self.overdue()
        # More credit would not move a limit, and a store that is away cannot report any.
        elif self._meter.is_at_limit or self._meter.cut_off is CutOff.GRACE:
            self._end(due_ns, self._meter.cut_off)
        else:
            self._is_asking = True
            self._context.services.spawn(self._ask_again(due_ns))

    async def _ask_again(self, due_ns: int) -> None:
        """Ask the spend gate once more: credit that came in the last second saves the call."""
        try:
            async with asyncio.timeout(ASK_AGAIN_S):
                await self._context.services.metering.charge_now(self._meter.account_id)
        except TimeoutError:
            log.info("no answer on credit at the cut-off", call_id=self._meter.call_id)
            # The call may wait for the store as long as the known credit lasts.
            self._meter.unavailable(self._context.now_ns())
        finally:
            self._is_asking = False
        # The call was hung up while the gate was asked.
        if self._meter.state is MeterState.ENDED:
            return
        # If it has not moved, nothing was granted.
        if self._meter.cut_off_ns == due_ns:
            self._end(due_ns, self._meter.cut_off)
        else:
            self.arm()

    def _end(self, due_ns: int, ran_out_of: CutOff) -> None:
        # Before the event, whose commands tell the caller what the call has run out of.
        self.ran_out_of = ran_out_of
        cause, ended_by = _CUT_OFFS[ran_out_of]
        # As of the cut-off: the time it took to ask is not charged.
        self._context.call.receive(Ended(cause, ended_by), due_ns)
        # If another node may have settled the call, its record has the seconds.
        seconds = None if self._context.may_be_settled() else self._meter.final(due_ns)[0]
        self._context.notify("call.cut_off", cause=ran_out_of.value, seconds=seconds)
