"""Finds payments to accounts that were deleted meanwhile, whose refund has not begun.

Such a payment was in progress while its account was deleted: at a bank, or on a payment page that
could not be closed in time. Functions on the caller's connection.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.payments import PaymentState
from billing.reconcile import Disagreement
from billing.stores import tables
from billing.stores.deletion_refunds import is_of_deletion, with_credit
from billing.stores.findings import FINDINGS_MAX, figures_of

RULE: Final = "paid after its account was deleted, and not sent back"
ADVICE: Final = (
    "A node that has the payment service sends it back within minutes: look why none does. By hand,"
    " `caller payments refund` sends it back, and what no card takes"
    " `caller accounts delete ACCOUNT --write-off --reason …` writes off."
)
SENT_BACK_WITHIN: Final = timedelta(hours=1)
"""How long it may take: a payment service may be away."""
_REFUNDABLE: Final = (PaymentState.PAID.value, PaymentState.WON.value)

_accounts = tables.accounts.c
_payments = tables.payments.c
_credits = tables.credits.c


def late_payments() -> sa.Select[Any]:
    """Return the query of account, payment, amount and time of each.

    An account that has nothing has none: its credit was sent back or written off.
    """
    refunds = tables.credits.alias("refunds").c
    sent = sa.select(refunds.reference).where(
        # By the account first, whose index it is.
        refunds.account_id == _payments.account_id,
        refunds.payment_id == _payments.id,
        is_of_deletion(refunds.reference),
    )
    return (
        sa.select(
            _payments.id,
            _payments.account_id.label("account"),
            _credits.micros.label("booked"),
            _credits.at.label("at"),
        )
        .join_from(tables.accounts, tables.payments, _payments.account_id == _accounts.id)
        .join(tables.credits, _credits.payment_id == _payments.id)
        .where(
            _credits.account_id == _payments.account_id,
            _payments.account_id.in_(with_credit()),
            _payments.state.in_(_REFUNDABLE),
            _credits.kind == "top-up",
            _credits.at >= _accounts.deleted_at,
            ~sent.exists(),
        )
    )


async def audit_late_payments(connection: AsyncConnection, now: datetime) -> list[Disagreement]:
    """Return what should have gone back by now, at most `FINDINGS_MAX`."""
    query = late_payments().where(_credits.at < now - SENT_BACK_WITHIN).limit(FINDINGS_MAX)
    return [
        Disagreement(
            RULE,
            row.id,
            figures_of([("account", row.account), ("booked", row.booked), ("at", row.at)]),
        )
        for row in await connection.execute(query)
    ]


async def sent_back(connection: AsyncConnection, account_id: str) -> int:
    """Return how much of an account's credit a deletion sends back to cards, in micros.

    Without what a card has refused.
    """
    return await _taken(connection, account_id, is_of_deletion(_credits.reference))


async def given_up(connection: AsyncConnection, account_id: str) -> int:
    """Return how much of an account's credit a deletion has written off, in micros."""
    return await _taken(connection, account_id, _credits.kind == "closing")


async def _taken(
    connection: AsyncConnection, account_id: str, which: sa.ColumnElement[bool]
) -> int:
    """Return how much these credits have taken; 0 where they have given."""
    moved = sa.select(sa.func.sum(_credits.micros)).where(_credits.account_id == account_id, which)
    return max(0, -int(await connection.scalar(moved) or 0))
