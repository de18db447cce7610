"""Lists accounts being deleted, and deleted accounts with a failed refund of their credit.

Functions on the caller's connection, which only read. They join deletions with the book.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.erasure import ErasureState
from accounts.stores import tables as people
from billing.credit_returns import RETRY_AFTER
from billing.stores import deletion_refunds, tables
from billing.stores.deletion_refunds import FailedRefund


class LeavingAccount(msgspec.Struct, frozen=True):
    """The state of a deletion, with one failed refund of it; one object per such refund."""

    account_id: str
    state: str
    """One of `accounts.erasure.State`; empty if no deletion is recorded."""
    step: str
    """The next step of a deletion that is not done."""
    asked_at: datetime | None
    due_at: datetime | None
    balance_micros: int
    currency: str
    payment_id: str | None = None
    """Payment whose refund has failed; this and all that follow are None if none has."""
    refund_micros: int | None = None
    attempts: int | None = None
    """How many have failed."""
    failed_at: datetime | None = None
    retry_at: datetime | None = None
    """When it is retried; None if it is left to an operator."""


async def leaving_accounts(connection: AsyncConnection, *, limit: int) -> Sequence[LeavingAccount]:
    """Return those that need a person first, then the others by when they begin; `limit` of each.

    An account appears once for each failed refund.
    """
    failed = await deletion_refunds.listed(connection, limit)
    failed = sorted(failed, key=lambda each: (not each.is_given_up, each.failed_at))
    of = people.erasures.c
    is_open = of.state.in_([ErasureState.WAITING, ErasureState.ERASING])
    rows = await connection.execute(
        _query().where(is_open).order_by(of.due_at, of.account_id).limit(limit)
    )
    left = {row.id: _of(row) for row in rows}
    named = {each.account_id for each in failed}
    if missing := named - left.keys():
        more = await connection.execute(_query().where(tables.accounts.c.id.in_(missing)))
        left |= {row.id: _of(row) for row in more}
    return [
        *(_with_refund(left[each.account_id], each) for each in failed),
        *(each for each in left.values() if each.account_id not in named),
    ]


def _query() -> sa.Select[Any]:
    of, account = people.erasures.c, tables.accounts.c
    return sa.select(
        account.id,
        account.balance_micros,
        account.currency,
        of.state,
        of.step,
        of.asked_at,
        of.due_at,
    ).join_from(tables.accounts, people.erasures, of.account_id == account.id, isouter=True)


def _of(row: Any) -> LeavingAccount:
    return LeavingAccount(
        account_id=row.id,
        state=row.state or "",
        step=row.step if row.state in {ErasureState.WAITING, ErasureState.ERASING} else "",
        asked_at=row.asked_at,
        due_at=row.due_at,
        balance_micros=row.balance_micros,
        currency=row.currency,
    )


def _with_refund(account: LeavingAccount, refund: FailedRefund) -> LeavingAccount:
    return msgspec.structs.replace(
        account,
        payment_id=refund.payment_id,
        refund_micros=refund.micros,
        attempts=refund.attempts,
        failed_at=refund.failed_at,
        retry_at=None if refund.is_given_up else refund.failed_at + RETRY_AFTER,
    )
