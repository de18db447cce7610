"""Refunds the price of calls that went wrong, once per call and a limited number per account.

Acts on closings as they are booked, in the drainer's process. `billing.call_refunds` decides what
is refunded and why.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import timedelta

import structlog

from billing.call_refunds import refund_of
from billing.clock import Clock, utc_now
from billing.errors import CreditsLostError
from billing.outbox import Ending, fold
from billing.ports import BookedEvent, LedgerStore, OutboxEntry, SpendGate
from database.errors import StoreUnavailableError
from gateway.charging.recovery import bring_credits
from gateway.ports import Notify

KIND = "call-refund"
_DAY = timedelta(days=1)

log = structlog.get_logger(__name__)


class CallRefunds:
    """The automatic refunds of one deployment."""

    def __init__(
        self,
        ledger: LedgerStore,
        gate: SpendGate,
        *,
        short_call_s: int,
        per_day_max: int,
        notify: Notify,
        clock: Clock = utc_now,
    ) -> None:
        self._ledger = ledger
        self._gate = gate
        self._short_call_s = short_call_s
        self._per_day_max = per_day_max
        self._notify = notify
        self._clock = clock

    async def on_booked(self, entries: Sequence[OutboxEntry]) -> None:
        """Refund the calls among these entries that the rules refund; repeating changes nothing.

        Raises StoreUnavailableError.
        """
        if not self._per_day_max:
            return
        # Openings and ticks do not matter here: only an ended call has a price to refund.
        closings = [entry for entry in entries if entry.kind == "C"]
        for call_id, change in fold(closings).changes.items():
            if change.ending is not None:
                await self._consider(call_id, change.account_id, change.ending)

    async def _consider(self, call_id: str, account_id: str, ending: Ending) -> None:
        refund = refund_of(ending.charged_micros, ending.detail, short_call_s=self._short_call_s)
        if refund is None:
            return
        day_ago = self._clock() - _DAY
        if await self._ledger.count_credits(account_id, KIND, day_ago) >= self._per_day_max:
            log.warning("no further refund today", account=account_id, call_id=call_id)
            return
        reference = f"call:{call_id}"
        news = BookedEvent(
            "call.refunded",
            {
                "account_id": account_id,
                "call_id": call_id,
                "micros": refund.micros,
                "rule": refund.rule.name.lower(),
                "reason": refund.rule.value,
                "reference": reference,
            },
        )
        try:
            # The reference makes it happen once, however often the closing is booked.
            sequence = await self._ledger.add_credit(
                account_id,
                refund.micros,
                reference=reference,
                kind=KIND,
                reason=refund.rule.value,
                call_id=call_id,
                news=news,
            )
        except CreditsLostError:
            # Other bookings must not wait until an operator has repaired the book.
            log.warning(
                "call not refunded, book lacks credits", account=account_id, call_id=call_id
            )
            return
        # A partition that is being filled takes no credits; it will be filled with this one.
        with contextlib.suppress(StoreUnavailableError):
            await bring_credits(self._gate, self._ledger, account_id)
        # None for a repeat, which the operator's program has already been notified of.
        if sequence is not None:
            self._notify(news.name, news.data)
