"""Takes back what was added to an account by whoever its holder says they were not.

A thief who adds a passkey, an app for codes or a key of the API, or asks for the account's
deletion, would otherwise come back after the lock. What is older stays: a mailbox alone must not be
enough to take a second factor away. Functions on the caller's connection, with the holder's lock
held.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Act
from accounts.link import Purpose
from accounts.stores import audit_log, erasures, links, second_factors
from accounts.stores import tables as people
from billing.stores import tables

_MARGIN: Final = timedelta(minutes=1)
"""What is added is dated before its transaction, whose mail is dated in it."""


async def take_back(
    connection: AsyncConnection, account_id: str, since: datetime, at: datetime
) -> None:
    """Remove passkeys, a second factor and API keys that are not older than the disputed act."""
    from_then_on = since - _MARGIN
    passkeys, keys, factors = people.passkeys.c, tables.api_keys.c, people.second_factors.c
    removed = await connection.execute(
        sa.delete(people.passkeys)
        .where(passkeys.account_id == account_id, passkeys.added_at >= from_then_on)
        .returning(passkeys.credential_id)
    )
    acts = [Act.PASSKEY_REMOVED for _ in removed]
    added_at = await connection.scalar(
        sa.select(factors.added_at).where(factors.account_id == account_id)
    )
    if added_at is not None and added_at >= from_then_on:
        await second_factors.remove(connection, account_id)
        acts.append(Act.SECOND_FACTOR_REMOVED)
    revoked = await connection.execute(
        sa.update(tables.api_keys)
        .where(
            keys.account_id == account_id,
            keys.created_at >= from_then_on,
            keys.revoked_at.is_(None),
        )
        .values(revoked_at=at)
        .returning(keys.id)
    )
    acts += [Act.KEY_REVOKED for _ in revoked]
    for act in acts:
        await audit_log.record(connection, account_id, act, at)


async def keep_account(connection: AsyncConnection, account_id: str, at: datetime) -> bool:
    """Cancel a deletion that waits; return whether there was one."""
    if not await erasures.cancel(connection, account_id, at):
        return False
    await links.end(connection, account_id, {Purpose.CANCEL_DELETION}, at)
    await audit_log.record(connection, account_id, Act.DELETION_CANCELLED, at)
    return True
