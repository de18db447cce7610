"""Defines why an account is frozen, and stores its reasons in SQL.

Each reason is set and released by itself; `accounts.frozen` is true while there is any. Functions
on the caller's connection, so that a freeze commits together with what caused it. The caller
updates the spend gate after the commit; if that fails, the comparison of gate and book does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.stores import tables
from database.engine import upsert

_FREEZES = tables.freezes


class FreezeReason(StrEnum):
    """Why an account may place no calls; values are stored."""

    OPERATOR = "operator"
    DISPUTE = "dispute"
    """A payment was taken back."""
    LOCKED = "locked"
    """Its holder said that a sign-in was not theirs."""
    LEAVING = "leaving"
    """Its holder has asked for its deletion."""
    RESTRICTED = "restricted"
    """Its holder wants their data kept and not used (GDPR, article 18)."""


RELEASES: Final[Mapping[FreezeReason, frozenset[FreezeReason]]] = {
    # An operator may overrule the payment service, but not the account's holder.
    FreezeReason.OPERATOR: frozenset({FreezeReason.OPERATOR, FreezeReason.DISPUTE}),
}
"""Which reasons a release ends, where it is more than its own."""


def released_by(reason: FreezeReason) -> frozenset[FreezeReason]:
    """Return the reasons that a release for one reason ends."""
    return RELEASES.get(reason, frozenset({reason}))


async def set_freeze(
    connection: AsyncConnection, account_id: str, reason: FreezeReason, frozen: bool, at: datetime
) -> bool:
    """Freeze an account for a reason, or release it; return whether it is frozen from now on.

    A deleted account stays frozen. Raises LookupError: no such account.
    """
    accounts = tables.accounts.c
    query = sa.select(accounts.frozen, accounts.deleted_at).where(accounts.id == account_id)
    account = (await connection.execute(query.with_for_update())).one_or_none()
    if account is None:
        raise LookupError("no such account")
    reasons = set(await freeze_reasons(connection, account_id))
    if account.frozen and not reasons:
        # Frozen before reasons were kept, or opened again by a booking: the operator's to release.
        reasons = {FreezeReason.OPERATOR}
    left = reasons | {reason} if frozen else reasons - released_by(reason)
    mine = _FREEZES.c.account_id == account_id
    await connection.execute(sa.delete(_FREEZES).where(mine, _FREEZES.c.reason.not_in(left)))
    if left:
        rows = [{"account_id": account_id, "reason": each, "at": at} for each in sorted(left)]
        await connection.execute(upsert(connection, _FREEZES).on_conflict_do_nothing(), rows)
    is_frozen = bool(left) or account.deleted_at is not None
    await connection.execute(
        sa.update(tables.accounts).where(accounts.id == account_id).values(frozen=is_frozen)
    )
    return is_frozen


async def freeze_reasons(connection: AsyncConnection, account_id: str) -> frozenset[FreezeReason]:
    """Return the reasons for which an account is frozen."""
    rows = await connection.scalars(
        sa.select(_FREEZES.c.reason).where(_FREEZES.c.account_id == account_id)
    )
    return frozenset(map(FreezeReason, rows))


def is_used(account_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return whether data of an account may be used, and deleted once they are too old.

    A restriction leaves nothing but keeping them (GDPR, articles 4(2) and 18(2)).
    """
    freezes = tables.freezes.c
    restricted = sa.select(freezes.account_id).where(
        freezes.account_id == account_id, freezes.reason == FreezeReason.RESTRICTED.value
    )
    return ~restricted.exists()
