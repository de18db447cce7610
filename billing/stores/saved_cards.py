"""Stores saved cards in SQL: what may be charged automatically, and charges without an outcome yet.

The request of a charge is deleted as soon as the payment service knows the charge, or the payment
is decided. Functions on the caller's connection, so that a card is removed together with another
change.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.payments import (
    ABANDONED,
    DAY,
    PENDING,
    SAVED_CARD_KINDS,
    AutoHistory,
    ChargeRequest,
    Payment,
    PaymentProfile,
    PaymentState,
)
from billing.stores import tables
from billing.stores.freezes import FreezeReason

PENDING_STATES: Final = sorted(state.value for state in PENDING)
_FRUITLESS: Final = (PaymentState.FAILED.value, PaymentState.EXPIRED.value)
_payments = tables.payments.c
_requests = tables.charge_requests
_ACCOUNTS = tables.accounts.c
_PROFILES = tables.payment_profiles


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


async def find_profile(connection: AsyncConnection, account_id: str) -> PaymentProfile:
    """Return an account's profile, a blank one if nothing was ever saved.

    Raises LookupError if there is no such account.
    """
    columns = [column for column in _PROFILES.c if column.name not in ("account_id", "email")]
    rows = await connection.execute(
        sa.select(
            _ACCOUNTS.id.label("account_id"),
            _ACCOUNTS.currency,
            _ACCOUNTS.frozen,
            _ACCOUNTS.deleted_at.is_not(None).label("deleted"),
            _is_frozen_for(FreezeReason.LEAVING).label("leaving"),
            _is_frozen_for(FreezeReason.RESTRICTED).label("restricted"),
            # The holder's own address first; the one that came with a payment is the payer's.
            sa.func.coalesce(sa.func.nullif(_ACCOUNTS.email, ""), _PROFILES.c.email).label("email"),
            *columns,
        )
        .select_from(tables.accounts.outerjoin(_PROFILES))
        .where(_ACCOUNTS.id == account_id)
    )
    row = rows.one_or_none()
    if row is None:
        raise LookupError("no such account")
    # An account without a profile is a row of NULLs.
    return PaymentProfile(**{k: v for k, v in row._mapping.items() if v is not None})


async def switch_auto_off(
    connection: AsyncConnection, account_id: str, reason: str
) -> tuple[PaymentProfile, PaymentProfile]:
    """Switch automatic top-ups off, where they are on; return the profile before and after.

    The caller holds the account's lock. Raises LookupError if there is no such account.
    """
    before = await find_profile(connection, account_id)
    await connection.execute(
        sa.update(_PROFILES)
        .where(_PROFILES.c.account_id == account_id, _PROFILES.c.auto_enabled)
        .values(auto_enabled=False, auto_off_reason=reason)
    )
    return before, await find_profile(connection, account_id)


async def forget_card(
    connection: AsyncConnection, account_id: str
) -> tuple[PaymentProfile, PaymentProfile]:
    """Forget the card, its customer and its payer's address, and switch automatic top-ups off.

    A charge whose outcome is not known is not requested again. Return the profile before and after.
    The caller holds the account's lock. Raises LookupError if there is no such account.
    """
    before = await find_profile(connection, account_id)
    await forget_requests(connection, account_id)
    await connection.execute(
        sa.update(_PROFILES)
        .where(_PROFILES.c.account_id == account_id)
        .values(
            customer_id=None,
            payment_method_id=None,
            email="",
            auto_enabled=False,
            auto_off_reason="",
        )
    )
    return before, await find_profile(connection, account_id)


def _is_frozen_for(reason: FreezeReason) -> sa.ColumnElement[bool]:
    freezes = tables.freezes.c
    return sa.exists().where(freezes.account_id == _ACCOUNTS.id, freezes.reason == reason)
