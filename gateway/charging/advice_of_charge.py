"""Advice of charge: shows a caller once a second what the call costs and how long it can last.

Also warns before the call runs out of credit.
"""

from __future__ import annotations

from billing.meter import CallMeter, EndWarnings, WarningChange
from gateway.browser import messages as wire
from gateway.browser import reports
from gateway.charging.context import CallContext


class AdviceOfCharge:
    """The figures and warnings for one caller."""

    __slots__ = ("_context", "_warnings", "balance_micros")

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._warnings = EndWarnings()
        self.balance_micros = 0
        """The account's balance, including what is held for its calls here and not used."""

    def bill(self, meter: CallMeter, now_ns: int) -> tuple[wire.Cost | wire.Credit, ...]:
        """Return what has been used and what is left; nothing for a caller who does not pay."""
        if self._context.order.visitor is not None:
            return ()
        currency = self._context.order.currency
        return (
            wire.Cost(
                seconds=meter.owed_s(now_ns),
                cost=reports.money(meter.cost_micros(now_ns), currency),
            ),
            wire.Credit(
                balance=reports.money(self.balance_micros, currency),
                remaining_seconds=meter.remaining_s(now_ns),
            ),
        )

    def warn(self, meter: CallMeter, now_ns: int) -> None:
        """Warn the caller that the call will end soon, or withdraw the warning."""
        # By what the call may count on, including its share of the balance, not by its hold, which
        # lasts a few seconds: so all calls of an account count down to the same end.
        left_s = meter.remaining_s(now_ns)
        change = self._warnings.note(left_s)
        if change is WarningChange.GIVEN:
            cause = reports.LACKS[meter.runs_out_of]
            lack = self._lack(meter)
            self._context.call.warn(wire.CreditWarning(seconds_left=left_s, cause=lack))
            self._context.notify("call.credit_warning", cause=cause, seconds_left=left_s)
        elif change is WarningChange.TAKEN_BACK:
            self._context.call.warn(wire.CreditWarningCleared(seconds_left=left_s))

    def active_warning(self, meter: CallMeter, now_ns: int) -> wire.CreditWarning | None:
        """Return the active warning, for a caller who has resumed the call."""
        if not self._warnings.is_active:
            return None
        left_s = meter.remaining_s(now_ns)
        return wire.CreditWarning(seconds_left=left_s, cause=self._lack(meter))

    def _lack(self, meter: CallMeter) -> wire.Lack:
        hides_money = self._context.order.visitor is not None
        return reports.lack_of(meter.runs_out_of, hides_money=hides_money)
