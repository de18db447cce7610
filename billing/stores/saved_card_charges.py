"""Reads in SQL what was charged to saved cards, and stores the requests that have no outcome yet.

A request goes as soon as its charge is known at the payment service, or its payment is decided.
Functions on the caller's connection.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.charges import ABANDONED, ChargeRequest
from billing.payments import DAY, PENDING, SAVED_CARD_KINDS, AutoHistory, Payment, PaymentState
from billing.stores import tables

PENDING_STATES: Final = sorted(state.value for state in PENDING)
_FRUITLESS: Final = (PaymentState.FAILED.value, PaymentState.EXPIRED.value)
_payments = tables.payments.c
_requests = tables.charge_requests


async def history(connection: AsyncConnection, account_id: str, now: datetime) -> AutoHistory:
    """Return the charges of an account's saved card within the last day."""
    rows = await connection.execute(
        sa.select(_payments.state, _payments.micros, _payments.created_at, _payments.failure).where(
            _payments.account_id == account_id,
            _payments.kind.in_(SAVED_CARD_KINDS),
            # A pending charge counts at any age: while its outcome is open no other may begin.
            sa.or_(_payments.created_at > now - DAY, _payments.state.in_(PENDING_STATES)),
        )
    )
    found = rows.all()
    return AutoHistory(
        is_in_flight=any(row.state in PENDING_STATES for row in found),
        # A charge whose outcome is open counts as made: the daily limit must hold if it succeeds.
        # So does one that only we call failed: it may turn out to have been made.
        charged_micros=sum(
            row.micros for row in found if row.state not in _FRUITLESS or row.failure == ABANDONED
        ),
        failures=sum(row.state == PaymentState.FAILED.value for row in found),
        last_at=max((row.created_at for row in found), default=None),
    )


async def keep_request(connection: AsyncConnection, payment: Payment, body: str) -> None:
    """Store the request of a charge that was begun in this transaction."""
    await connection.execute(
        sa.insert(_requests).values(payment_id=payment.id, account_id=payment.account_id, body=body)
    )


async def find_request(connection: AsyncConnection, payment_id: str) -> ChargeRequest | None:
    """Return the request of a charge that has no outcome yet."""
    query = sa.select(_requests.c.body, _requests.c.tried_at)
    row = (
        await connection.execute(query.where(_requests.c.payment_id == payment_id))
    ).one_or_none()
    return None if row is None else ChargeRequest(*row)


async def note_try(connection: AsyncConnection, payment_id: str, at: datetime) -> None:
    """Note that a request is sent now."""
    await connection.execute(
        sa.update(_requests).where(_requests.c.payment_id == payment_id).values(tried_at=at)
    )


async def forget_request(connection: AsyncConnection, payment: Payment) -> None:
    """Forget the request of a charge whose outcome is known, or can be looked up by its id."""
    if payment.kind in SAVED_CARD_KINDS and (
        payment.payment_intent_id or payment.state not in PENDING
    ):
        await connection.execute(sa.delete(_requests).where(_requests.c.payment_id == payment.id))


async def forget_requests(connection: AsyncConnection, account_id: str) -> None:
    """Forget all requests of an account: what may have been charged can only be asked then."""
    await connection.execute(sa.delete(_requests).where(_requests.c.account_id == account_id))


def given_up(since: datetime) -> sa.Select[tuple[object, ...]]:
    """Return the query of charges begun since then that failed without the service's word."""
    return (
        sa.select(tables.payments)
        .where(
            _payments.state == PaymentState.FAILED.value,
            _payments.kind.in_(SAVED_CARD_KINDS),
            _payments.created_at >= since,
            # A card that was declined has an intent.
            _payments.payment_intent_id.is_(None),
        )
        .order_by(_payments.created_at)
    )
