"""Takes back what was added to an account by whoever its holder says they were not.

A thief who adds a passkey, an app for codes or a key of the API would otherwise come back after the
lock. What is older stays: a mailbox alone must not be enough to take a second factor away. Knows no
link and no lock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from accounts.audit_log import Act
from accounts.stores import second_factors
from accounts.stores import tables as people
from billing.stores import tables
from gateway.stores.people_transactions import Change

_MARGIN: Final = timedelta(minutes=1)
"""What is added is dated before its transaction, whose mail is dated in it."""


async def take_back(change: Change, since: datetime) -> None:
    """Remove passkeys, a second factor and API keys that are not older than the disputed act."""
    connection, account_id, begin = change.connection, change.holder.account_id, since - _MARGIN
    passkeys, keys = people.passkeys.c, tables.api_keys.c
    removed = await connection.execute(
        sa.delete(people.passkeys)
        .where(passkeys.account_id == account_id, passkeys.added_at >= begin)
        .returning(passkeys.credential_id)
    )
    acts = [Act.PASSKEY_REMOVED for _ in removed]
    factor = await second_factors.find(connection, account_id)
    if factor is not None and factor.added_at >= begin:
        await second_factors.remove(connection, account_id)
        acts.append(Act.SECOND_FACTOR_REMOVED)
    revoked = await connection.execute(
        sa.update(tables.api_keys)
        .where(
            keys.account_id == account_id,
            keys.created_at >= begin,
            keys.revoked_at.is_(None),
        )
        .values(revoked_at=change.at)
        .returning(keys.id)
    )
    acts += [Act.KEY_REVOKED for _ in revoked]
    for act in acts:
        await change.record(act)
