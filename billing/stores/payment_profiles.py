"""Reads in SQL what may be charged without asking, and stops it together with another change.

Functions on the caller's connection.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.freezes import FreezeReason
from billing.payments import PaymentProfile
from billing.stores import saved_card_charges, tables

_ACCOUNTS = tables.accounts.c
_PROFILES = tables.payment_profiles


async def find(connection: AsyncConnection, account_id: str) -> PaymentProfile:
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
    before = await find(connection, account_id)
    await connection.execute(
        sa.update(_PROFILES)
        .where(_PROFILES.c.account_id == account_id, _PROFILES.c.auto_enabled)
        .values(auto_enabled=False, auto_off_reason=reason)
    )
    return before, await find(connection, account_id)


async def forget_card(
    connection: AsyncConnection, account_id: str
) -> tuple[PaymentProfile, PaymentProfile]:
    """Forget the card, its customer and its payer's address, and switch automatic top-ups off.

    A charge whose outcome is not known is not requested again. Return the profile before and after.
    The caller holds the account's lock. Raises LookupError if there is no such account.
    """
    before = await find(connection, account_id)
    await saved_card_charges.forget_requests(connection, account_id)
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
    return before, await find(connection, account_id)


def _is_frozen_for(reason: FreezeReason) -> sa.ColumnElement[bool]:
    freezes = tables.freezes.c
    return sa.exists().where(freezes.account_id == _ACCOUNTS.id, freezes.reason == reason)
