"""Sends an account's unspent credit back to the cards it came from.

The newest payments first, because their refunds fail least often. What no card takes back stays,
and is retried some hours later (`billing.credit_returns`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billing.clock import Clock, utc_now
from billing.credit_returns import begun, due
from billing.money import exponent
from billing.payments import Payment, PaymentState
from gateway.errors import PaymentError, RequestRefusedError
from gateway.payments.ports import PaymentStore
from gateway.payments.refunds import Refunds

PAGE: Final = 100
PAYMENTS_MAX: Final = 1_000
"""Payments looked at; cards of older ones have expired."""
_REFUNDABLE: Final = frozenset({PaymentState.PAID, PaymentState.WON})


@dataclass(frozen=True, slots=True)
class CreditReturn:
    """Sends credit back. Raises StoreUnavailableError, and PaymentError if a repeat may help."""

    store: PaymentStore
    refunds: Refunds
    balance: Callable[[str], Awaitable[int]]
    clock: Clock = utc_now

    async def refundable(self, account_id: str) -> int:
        """Return how much of the balance cards can take back, in micros."""
        left = max(0, await self.balance(account_id))
        found = 0
        for payment in await self._payments(account_id):
            found += _part(payment, left - found)
        return found

    async def send_back(self, account_id: str, since: datetime | None = None) -> None:
        """Send back what cards can take; a repeat finishes refunds with an unknown outcome.

        With `since`, only for payments whose credit was booked then or later, whenever they were
        begun, and for those whose refund has failed.
        """
        for payment in await self._payments(account_id):
            entries = await self.store.entries(payment)
            if standing := begun(payment.id, entries):
                await self._refund(payment, standing.name, standing.micros or 0)
                continue
            attempt = due(payment.id, entries, self.clock(), since)
            if attempt is None:
                continue
            micros = _part(payment, await self.balance(account_id))
            if attempt.micros is not None:
                micros = min(micros, attempt.micros)
            if micros > 0:
                await self._refund(payment, attempt.name, micros)

    async def _payments(self, account_id: str) -> list[Payment]:
        found = await payments_of(self.store, account_id)
        return [each for each in found if each.payment_intent_id and each.state in _REFUNDABLE]

    async def _refund(self, payment: Payment, name: str, micros: int) -> None:
        try:
            await self.refunds.send_back(payment.id, micros, reference=name)
        except RequestRefusedError:
            # Refunded or spent since, or refused before.
            return
        except PaymentError as error:
            # Refused for good, for example because the card is closed: its credit is back.
            if not error.is_refusal:
                raise


async def payments_of(store: PaymentStore, account_id: str) -> list[Payment]:
    """Return an account's payments, newest first, about `PAYMENTS_MAX` at most."""
    found: list[Payment] = []
    before = None
    while len(found) < PAYMENTS_MAX:
        page = await store.page(account_id, limit=PAGE, before=before)
        found += page
        if len(page) < PAGE:
            break
        before = page[-1].id
    return found


def _part(payment: Payment, left_micros: int) -> int:
    """Return how much of a payment can go back, in micros that a card can be sent."""
    part = min(payment.micros - payment.refunded_micros, left_micros)
    # Whole minor units: a card cannot be sent less.
    smallest = int(10 ** (6 - min(exponent(payment.currency), 2)))
    return max(0, part - part % smallest)
