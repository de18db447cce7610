"""Records changes of saved cards and automatic top-ups in the audit log.

Within the transaction of the change, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Act, Actor
from accounts.stores import audit_log
from billing.money import in_units
from billing.payments import ACCOUNT_LOCKED, AUTOMATIC, Payment, PaymentProfile
from billing.stores import saved_cards


async def stop_automatic_top_ups(
    connection: AsyncConnection, account_id: str, at: datetime
) -> None:
    """Switch automatic top-ups off with a lock: a thief may have switched them on.

    The caller holds the account's lock. They stay off when its holder is let in again.
    """
    change = await saved_cards.switch_auto_off(connection, account_id, ACCOUNT_LOCKED)
    await record_profile_change(connection, *change, at)


async def forget_card(connection: AsyncConnection, account_id: str, at: datetime) -> None:
    """Forget the saved card of someone who was not the account's holder, and stop charging it.

    The caller holds the account's lock. The payment service keeps its customer, which belongs to
    that payer; the next person to pay gets a new one.
    """
    change = await saved_cards.forget_card(connection, account_id)
    await record_profile_change(connection, *change, at)


async def record_profile_change(
    connection: AsyncConnection,
    before: PaymentProfile,
    after: PaymentProfile,
    at: datetime,
    key_id: str = "",
) -> None:
    """Write a line for each change; none for a repeat.

    `key_id` is the API key that asked; empty for the holder, and for automatic changes.
    """
    # Only automatic changes have a reason: a card that is declined for good, or gone.
    actor = Actor.SERVICE if after.auto_off_reason else Actor.KEY if key_id else Actor.HOLDER
    for act, reason in changes(before, after):
        await audit_log.record(
            connection, after.account_id, act, at, actor, reason=reason, operator=key_id
        )


async def record_auto_top_up(connection: AsyncConnection, payment: Payment, at: datetime) -> None:
    """Write a line for a payment that was made automatically."""
    if payment.kind == AUTOMATIC:
        await audit_log.record(
            connection,
            payment.account_id,
            Act.AUTO_TOPPED_UP,
            at,
            Actor.SERVICE,
            reason=f"{in_units(payment.micros)} {payment.currency}",
        )


def changes(before: PaymentProfile, after: PaymentProfile) -> Iterator[tuple[Act, str]]:
    """Yield each difference between two profiles, with its details."""
    if before.has_card and not after.has_card:
        yield Act.CARD_FORGOTTEN, after.auto_off_reason
    if after.auto_enabled:
        if not before.auto_enabled:
            yield Act.AUTO_TOP_UP_ON, _terms(after)
        elif _terms(before) != _terms(after):
            yield Act.AUTO_TOP_UP_CHANGED, _terms(after)
    elif before.auto_enabled:
        yield Act.AUTO_TOP_UP_OFF, after.auto_off_reason


def _terms(profile: PaymentProfile) -> str:
    amount, threshold = (
        in_units(micros) for micros in (profile.auto_amount_micros, profile.auto_threshold_micros)
    )
    return f"{amount} {profile.currency} below {threshold}"
