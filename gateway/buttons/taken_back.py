"""Reverts what an intruder did to an account's buttons.

A button spends its owner's credit for anyone who sees it, so a thief's button would keep spending
after the lock. Runs within the lock's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from accounts.audit_log import Act
from accounts.stores import audit_log
from billing.stores import tables
from gateway.buttons.tables import button_keys, buttons, proven_destinations
from gateway.embed.keys import KeyMode, mode_of
from gateway.stores.people_transactions import Change

_BUTTONS, _TEXTS, _PROVEN = buttons.c, button_keys.c, proven_destinations.c
_UNSEEN: Final = (Act.BUTTON_CHANGED, Act.BUTTON_RESUMED)
"""After these, only the owner can tell whether a button does what it should."""


async def take_buttons_back(change: Change, begin: datetime) -> Mapping[str, Sequence[str]]:
    """Delete buttons made since `begin`, and withdraw keys and numbers.

    Older buttons that were changed or resumed since are paused until their owner has looked at
    them, because their earlier rules are not known. So are those that call a number proven since.
    Return the labels of the deleted ones as `buttons`, and the ends of the numbers as `numbers`.
    """
    made = await _delete_made(change, begin)
    await _withdraw_keys(change, begin)
    numbers = await _forget_numbers(change, begin)
    await _pause(change, numbers, begin)
    # Their owner recognises them by these digits; anyone else who reads the mail does not.
    return {"buttons": made, "numbers": [number[-4:] for number in numbers]}


async def _delete_made(change: Change, begin: datetime) -> Sequence[str]:
    connection = change.connection
    query = sa.select(_BUTTONS.id, _BUTTONS.key_id, _BUTTONS.label).where(
        _BUTTONS.account_id == change.holder.account_id, _BUTTONS.made_at >= begin
    )
    made = (await connection.execute(query)).all()
    for button in made:
        await connection.execute(sa.delete(button_keys).where(_TEXTS.button_id == button.id))
        await connection.execute(sa.delete(buttons).where(_BUTTONS.id == button.id))
        # It stays, revoked, for the call records.
        await connection.execute(
            sa.update(tables.api_keys)
            .where(tables.api_keys.c.id == button.key_id, tables.api_keys.c.revoked_at.is_(None))
            .values(revoked_at=change.at)
        )
        await change.record(Act.BUTTON_DELETED)
    return [button.label for button in made]


async def _withdraw_keys(change: Change, begin: datetime) -> None:
    """Delete newer publishable keys; the one that each replaced works again."""
    connection = change.connection
    withdrawn = await connection.scalars(
        sa.delete(button_keys)
        .where(_TEXTS.account_id == change.holder.account_id, _TEXTS.made_at >= begin)
        .returning(_TEXTS.button_id)
    )
    for button_id in set(withdrawn):
        of_button = sa.select(_TEXTS.key).where(_TEXTS.button_id == button_id)
        older = await connection.scalars(of_button.order_by(_TEXTS.made_at.desc()))
        latest = next((key for key in older if mode_of(key) is KeyMode.LIVE), None)
        await connection.execute(
            sa.update(button_keys).where(_TEXTS.key == latest).values(ends_at=None)
        )
        await change.record(Act.BUTTON_TURNED)


async def _forget_numbers(change: Change, begin: datetime) -> Sequence[str]:
    """Delete proofs of numbers made since `begin`; return the numbers."""
    numbers = await change.connection.scalars(
        sa.delete(proven_destinations)
        .where(_PROVEN.account_id == change.holder.account_id, _PROVEN.proven_at >= begin)
        .returning(_PROVEN.number)
    )
    return numbers.all()


async def _pause(change: Change, numbers: Sequence[str], begin: datetime) -> None:
    connection, account_id = change.connection, change.holder.account_id
    which = [_BUTTONS.account_id == account_id, _BUTTONS.paused_at.is_(None)]
    counts = [await audit_log.count_since(connection, account_id, act, begin) for act in _UNSEEN]
    if not any(counts):
        which.append(_BUTTONS.destination.in_(numbers))
    paused = await connection.scalars(
        sa.update(buttons).where(*which).values(paused_at=change.at).returning(_BUTTONS.id)
    )
    for _ in paused.all():
        await change.record(Act.BUTTON_PAUSED)
