"""Decides what may be done about a charge of a saved card whose outcome is not known.

The request is written once, before it is first sent, and is sent again as it was: the payment
service takes another one under the same idempotency key for a mistake (Stripe, "Idempotent
requests"). Pure: time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing.payments import Payment, PaymentProfile

REPEATED_MAX: Final = timedelta(hours=20)
"""How long a request is sent again: the service knows it again for 24 hours (Stripe, "Idempotent
requests"), and would charge a second time after that."""
SETTLED_AFTER: Final = timedelta(minutes=10)
"""How long after a request was sent its charge may still appear. A request is worked on for about a
minute at most; this is well beyond."""
ABANDONED: Final = "abandoned"
"""The failure of a charge that only we call failed: the payment service has said nothing of it."""

WriteRequest = Callable[[Payment, PaymentProfile], str]
"""Writes the request of a charge, which holds all that it is made of."""


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """The request of a charge that has no outcome yet."""

    body: str
    """As it is sent each time, whatever has changed since it was written."""
    tried_at: datetime | None
    """When it was last sent; None if it never was."""


def may_send(
    payment: Payment, request: ChargeRequest | None, *, is_frozen: bool, now: datetime
) -> bool:
    """Return whether the request may be sent; otherwise the service can only be asked.

    A frozen account is charged no more: its holder may have locked it against whoever asked.
    """
    return request is not None and not is_frozen and now - payment.created_at <= REPEATED_MAX


def is_settled(payment: Payment, request: ChargeRequest | None, now: datetime) -> bool:
    """Return whether a charge that the service does not know of will never be made."""
    tried_at = request.tried_at if request is not None else None
    return now - (tried_at or payment.created_at) > SETTLED_AFTER
