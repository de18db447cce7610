"""Ends what can still be paid for an account being deleted, and books what was.

A page that was open when its account was deleted would take money that no one can use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from billing.errors import MoneyError
from billing.payments import BY_PAGE, PENDING, SAVED_CARD_KINDS, Payment, PaymentState
from gateway.errors import PaymentError
from gateway.payments.credit_return import payments_of
from gateway.payments.ports import PaymentService, PaymentStore
from gateway.payments.service import Payments

_MAY_BE_PAID: Final = frozenset({PaymentState.CREATED, PaymentState.OPEN})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LastPayments:
    """The payments of an account that accepts no more. Raises StoreUnavailableError."""

    payments: Payments
    service: PaymentService
    store: PaymentStore
    find_out: Callable[[Payment], Awaitable[Payment]]
    """Finds out what became of a charge of a saved card; never makes one for a frozen account."""

    async def settle(self, account_id: str) -> None:
        """Close the open pages, and book the outcome of each pending payment.

        One that is at a bank stays pending, and one that the service refuses to report delays no
        other. Repeating it is harmless. Raises PaymentError if a repeat may help.
        """
        for payment in await payments_of(self.store, account_id):
            if payment.state not in PENDING:
                continue
            try:
                await self._settle(payment)
            except (MoneyError, PaymentError) as error:
                if isinstance(error, PaymentError) and error.retryable:
                    raise
                log.warning("payment not settled", payment=payment.id, failure=error.code)

    async def _settle(self, payment: Payment) -> None:
        checkout_id = payment.checkout_id or ""
        if payment.kind in SAVED_CARD_KINDS and not payment.payment_intent_id:
            found = await self.find_out(payment)
            # What was just requested may still be made, and the money would reach no one.
            if found.state in PENDING and not found.payment_intent_id:
                raise PaymentError("A card may be being charged.", retryable=True)
            return
        if payment.kind == BY_PAGE and payment.state in _MAY_BE_PAID:
            if not checkout_id:
                # The process that opened it may have died before recording it.
                page = await self.service.find_checkout(payment)
                checkout_id = page.id if page is not None else ""
            if checkout_id:
                await self._close(checkout_id)
        if checkout_id or payment.payment_intent_id:
            await self.payments.book_outcome(payment, page=checkout_id)

    async def _close(self, checkout_id: str) -> None:
        try:
            await self.service.expire_checkout(checkout_id)
        except PaymentError as error:
            # Refused if it was paid, or has ended: what is booked then says which.
            if error.retryable:
                raise
