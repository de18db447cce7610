"""Finds refunds of deleted accounts' credit that failed and that no later refund replaces.

A card may refuse a refund days after accepting it, when the account is erased already. Functions on
the caller's connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.credit_returns import RETRY_AFTER
from billing.payments import LEAVING_NAMES, PaymentState, refund_reference, undone
from billing.reconcile import Disagreement
from billing.stores import tables
from billing.stores.findings import FINDINGS_MAX, figures_of

RULE: Final = "refund of a deleted account failed, and its credit is nobody's"
ADVICE: Final = (
    "`caller accounts departures` shows how often it was tried. After three attempts no card takes"
    " it: pay it out in another way where you can, then write it off by"
    " `caller accounts delete ACCOUNT --write-off --reason …`. After fewer a node that has the"
    " payment service tries again each six hours: look why none does."
)
TRIED_WITHIN: Final = RETRY_AFTER + timedelta(hours=1)
"""How long the next attempt may take: a payment service may be away."""
_REFUNDABLE: Final = (PaymentState.PAID.value, PaymentState.WON.value)

_UNDOING: Final = tuple(map(undone, LEAVING_NAMES))

_accounts = tables.accounts.c
_payments = tables.payments.c


@dataclass(frozen=True, slots=True)
class FailedRefund:
    """A refund of a deleted account's credit that failed, and that no later one replaces."""

    account_id: str
    payment_id: str
    micros: int
    attempts: int
    """How many have failed."""
    failed_at: datetime

    @property
    def is_given_up(self) -> bool:
        """Whether it is not retried automatically any more."""
        return self.attempts >= len(LEAVING_NAMES)


def is_of_deletion(reference: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return whether a credit is a refund that a deletion begins, or what undoes one."""
    return _is_named(reference, (*LEAVING_NAMES, *_UNDOING))


def with_credit() -> sa.Select[Any]:
    """Return the query of deleted accounts that have credit: few, and the way to their entries.

    By a join SQLite would look at all credits of the book instead.
    """
    of = tables.accounts.alias("with_credit").c
    return sa.select(of.id).where(of.deleted_at.is_not(None), of.balance_micros > 0)


def failed_refunds() -> sa.Select[Any]:
    """Return the query of account, payment, micros, attempts, time of the failure, first begin.

    Of refunds that the deletion began, and of those that were under way when it came. An account
    that has nothing left has none; nor is there one that a later write-off has taken.
    """
    failed = tables.credits.alias("failed").c
    later = tables.credits.alias("later").c
    standing = tables.credits.alias("standing").c
    undoing = tables.credits.alias("undoing").c
    first = tables.credits.alias("first").c
    closing = tables.credits.alias("closing").c

    def same(other: Any) -> sa.ColumnElement[bool]:
        # By the account first, whose index it is.
        return sa.and_(other.account_id == failed.account_id, other.payment_id == failed.payment_id)

    attempts = sa.select(sa.func.count()).where(same(later), _is_named(later.reference, _UNDOING))
    is_followed = sa.select(later.reference).where(
        same(later), later.sequence > failed.sequence, _is_failure(later)
    )
    undo = undoing.reference == standing.reference.concat(undone(""))
    is_undone = sa.select(undoing.reference).where(undo)
    stands = sa.select(standing.reference).where(
        same(standing),
        standing.sequence > failed.sequence,
        _is_named(standing.reference, LEAVING_NAMES),
        ~is_undone.exists(),
    )
    written_off = sa.select(closing.reference).where(
        closing.account_id == failed.account_id,
        closing.kind == "closing",
        closing.sequence > failed.sequence,
    )
    undo = undoing.reference == first.reference.concat(undone(""))
    has_failed = sa.select(undoing.reference).where(undo, _is_failure(undoing))
    begun_at = sa.select(sa.func.min(first.at)).where(same(first), has_failed.exists())
    return sa.select(
        failed.account_id.label("account"),
        failed.payment_id.label("payment"),
        failed.micros,
        attempts.scalar_subquery().label("attempts"),
        failed.at.label("failed_at"),
        begun_at.scalar_subquery().label("begun_at"),
    ).where(
        failed.account_id == _accounts.id,
        failed.account_id.in_(with_credit()),
        _is_failure(failed),
        ~is_followed.exists(),
        ~stands.exists(),
        ~written_off.exists(),
    )


def to_be_tried(now: datetime) -> sa.Select[Any]:
    """Return the query of the accounts of which a refund is to be tried again."""
    found = failed_refunds().subquery()
    return (
        sa.select(found.c.account)
        .join(tables.payments, _payments.id == found.c.payment)
        .where(
            found.c.attempts < len(LEAVING_NAMES),
            found.c.failed_at <= now - RETRY_AFTER,
            _payments.state.in_(_REFUNDABLE),
        )
        .distinct()
    )


async def has_failed_begun_before(
    connection: AsyncConnection, account_id: str, moment: datetime
) -> bool:
    """Return whether a refund has failed that was begun, or first tried, before a moment."""
    found = failed_refunds().where(_accounts.id == account_id).subquery()
    begun = sa.select(sa.func.count()).where(found.c.begun_at < moment)
    return bool(await connection.scalar(begun))


async def listed(connection: AsyncConnection, limit: int) -> Sequence[FailedRefund]:
    """Return the failed refunds of all deleted accounts, at most `limit`, by account."""
    query = failed_refunds().order_by("account", "payment").limit(limit)
    return [_read(row) for row in await connection.execute(query)]


async def audit_failed_refunds(connection: AsyncConnection, now: datetime) -> list[Disagreement]:
    """Return those that are not retried any more, at most `FINDINGS_MAX`."""
    found = failed_refunds().subquery()
    is_left = sa.or_(found.c.attempts >= len(LEAVING_NAMES), found.c.failed_at < now - TRIED_WITHIN)
    rows = await connection.execute(sa.select(found).where(is_left).limit(FINDINGS_MAX))
    return [
        Disagreement(
            RULE,
            each.payment_id,
            figures_of(
                [
                    ("account", each.account_id),
                    ("left", each.micros),
                    ("attempts", str(each.attempts)),
                    ("failed", each.failed_at),
                ]
            ),
        )
        for each in map(_read, rows)
    ]


def _read(row: Any) -> FailedRefund:
    return FailedRefund(row.account, row.payment, row.micros, row.attempts, row.failed_at)


def _is_failure(credit: Any) -> sa.ColumnElement[bool]:
    """Return whether a credit is what came back of a refund once its account was deleted."""
    return sa.and_(
        credit.kind == "refund",
        credit.micros > 0,
        # Clocks of nodes differ; what the deletion itself began came after it.
        sa.or_(credit.at >= _accounts.deleted_at, _is_named(credit.reference, _UNDOING)),
    )


def _is_named(reference: sa.ColumnElement[str], names: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return whether a reference is of a refund begun here and ends in one of the names."""
    begins = refund_reference("")
    return sa.and_(
        # Not by LIKE, to which the `_` of an id is any character.
        sa.func.substr(reference, 1, len(begins)) == begins,
        sa.or_(*(_ends(reference, f":{name}") for name in names)),
    )


def _ends(text: sa.ColumnElement[str], ending: str) -> sa.ColumnElement[bool]:
    start = sa.func.length(text) - len(ending) + 1
    return sa.func.substr(text, start) == ending
