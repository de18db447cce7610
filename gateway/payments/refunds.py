"""Sends credit back to the card it was paid with, at an operator's command.

Refunds begun elsewhere, such as on the payment service's own pages, and the outcome of all of them,
are reported to `Payments` by the service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from billing.errors import MoneyError
from billing.payments import (
    REFUND_REASON,
    Payment,
    PaymentState,
    refund_reference,
    to_minor,
    undone,
)
from billing.ports import BookingGuard, LedgerStore
from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments.ports import OnCredit, PaymentService, PaymentStore
from gateway.payments.service import REFUND_FAILED, REFUNDED, Payments, event_data
from gateway.ports import Notify

REFERENCE_CHARS_MAX: Final = 100
"""Stored by the service with the payment's id and amount: 500 characters (Stripe, Metadata)."""
_REFUNDABLE = frozenset({PaymentState.PAID, PaymentState.WON})


class Refunds:
    """The refunds that are begun here."""

    def __init__(
        self,
        payments: Payments,
        *,
        service: PaymentService,
        store: PaymentStore,
        ledger: LedgerStore,
        balance: Callable[[str], Awaitable[int]],
        on_credit: OnCredit,
        notify: Notify,
    ) -> None:
        self._payments = payments
        self._service = service
        self._store = store
        self._ledger = ledger
        self._balance = balance
        self._on_credit = on_credit
        self._notify = notify

    async def send_back(self, payment_id: str, micros: int, *, reference: str) -> Payment:
        """Send unspent credit back to the card it came from.

        The credit is taken first, so that it cannot be spent meanwhile, and given back if the
        service refuses. After a retryable PaymentError the same call completes the refund. The call
        that takes the credit also sends the notice of the refund, so a repetition sends none.

        Raises:
            RequestRefusedError: `payment_not_found`, `refund_too_large`; `refund_reference_reused`
                for one whose refund was refused, or that this payment has for another amount.
            PaymentError: The service refused, or is away.
            StoreUnavailableError: A store is away.

        """
        payment = await self._store.find(payment_id)
        if payment is None:
            raise RequestRefusedError("payment_not_found")
        intent_id = payment.payment_intent_id
        if intent_id is None or payment.state not in _REFUNDABLE:
            raise RequestRefusedError("refund_too_large")
        minor = _minor(micros, payment.currency)
        our_id = f"{payment.id}:{minor}:{reference}"
        booked_as = refund_reference(our_id)
        if await self._store.is_booked(undone(booked_as)):
            raise RequestRefusedError("refund_reference_reused")
        is_first = is_made = False
        if await self._store.is_booked(booked_as):
            is_made = await self._is_refunded(intent_id, our_id)
        else:
            guard = _one_amount(payment, minor, reference)
            # Before anything is said about how much is left.
            guard([entry.reference for entry in await self._store.entries(payment)])
            is_first = await self._take_back(payment, micros, booked_as, guard)
        is_refused = False
        try:
            # Now too: the book may be a copy from before this refund, and its key is forgotten.
            is_made = is_made or (is_first and await self._is_refunded(intent_id, our_id))
            if not is_made:
                await self._service.refund(intent_id, minor, our_id)
        except PaymentError as error:
            # Only a definite refusal returns the credit; otherwise the refund may have been made.
            is_refused = error.is_refusal
            if is_refused:
                reason = "The refund failed."
                is_undone = await self._credit(payment, micros, undone(booked_as), reason)
                # An earlier call, which did not learn the outcome, has sent the notice.
                if is_undone and not is_first:
                    self._notify(REFUND_FAILED, event_data(payment, micros, undone(booked_as)))
            raise
        finally:
            # Here, because `Payments` finds it booked; also if its outcome is unknown.
            if is_first and not is_refused:
                self._notify(REFUNDED, event_data(payment, micros, booked_as))
        payment = await self._payments.book_outcome(payment)
        if is_made and await self._store.is_booked(undone(booked_as)):
            raise RequestRefusedError("refund_reference_reused")
        return payment

    async def _is_refunded(self, intent_id: str, our_id: str) -> bool:
        """Return whether the service has made a refund; it forgets idempotency keys after a day."""
        intent = await self._service.intent(intent_id)
        return any(refund.our_id == our_id for refund in intent.refunds)

    async def _take_back(
        self, payment: Payment, micros: int, reference: str, guard: BookingGuard
    ) -> bool:
        """Take a refund's credit; return False if another process has just done so."""
        left = payment.micros - payment.refunded_micros
        if micros > min(left, await self._balance(payment.account_id)):
            raise RequestRefusedError("refund_too_large")
        # Calls may have spent it meanwhile, so check again after taking the credit.
        is_first = await self._credit(payment, -micros, reference, REFUND_REASON, guard)
        if await self._balance(payment.account_id) < 0:
            await self._credit(payment, micros, undone(reference), "The credit was spent.")
            raise RequestRefusedError("refund_too_large")
        return is_first

    async def _credit(
        self,
        payment: Payment,
        micros: int,
        reference: str,
        reason: str,
        guard: BookingGuard | None = None,
    ) -> bool:
        """Book a credit of a refund; return False if it was booked before."""
        sequence = await self._ledger.add_credit(
            payment.account_id,
            micros,
            reference=reference,
            kind="refund",
            reason=reason,
            payment_id=payment.id,
            guard=guard,
        )
        await self._on_credit(payment.account_id)
        return sequence is not None


def _one_amount(payment: Payment, minor: int, reference: str) -> BookingGuard:
    """Return a guard that refuses a reference which the payment already has for another amount.

    Also called while booking: two operators may use one reference at the same moment.
    """
    prefix = refund_reference(f"{payment.id}:")

    def guard(references: Collection[str]) -> None:
        for each in references:
            if not each.startswith(prefix):
                continue
            amount, _, name = each.removeprefix(prefix).partition(":")
            if name in (reference, undone(reference)) and amount != str(minor):
                raise RequestRefusedError("refund_reference_reused")

    return guard


def _minor(micros: int, currency: str) -> int:
    try:
        minor = to_minor(micros, currency)
    except MoneyError:
        minor = 0
    if minor <= 0:
        raise RequestRefusedError("amount_out_of_range", field="amount")
    return minor
