"""Limits how often payments are begun, by program or page."""

from __future__ import annotations

from gateway.limits.velocity import checkout_uses, refuse
from gateway.payments.ports import PaymentStore
from gateway.payments.service import payment_id_of
from gateway.ports import Velocity


async def count_start(
    velocity: Velocity, store: PaymentStore, account_id: str, address: str, key: str
) -> None:
    """Refuse to start payments too often. `key` is the idempotency key, if there is one.

    A repeat is never refused: it begins nothing, and is how its sender learns the outcome. Raises
    TooFastError, StoreUnavailableError.
    """
    if not key or await store.find(payment_id_of(account_id, key)) is None:
        refuse(await velocity.hit(checkout_uses(account_id, address)))
