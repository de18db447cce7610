"""Takes back what was added to an account by whoever its holder says they were not.

A thief who adds a passkey, an app for codes, recovery codes or a key of the API would otherwise
come back after the lock. What is older than the disputed session stays: a mailbox alone must not be
enough to take a second factor away. Knows no link and no lock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Act
from accounts.stores import audit_log, second_factors
from accounts.stores import tables as people
from billing.stores import tables
from gateway.scopes import Scope
from gateway.stores.people_transactions import Change

_MARGIN: Final = timedelta(minutes=1)
"""Clocks of two nodes differ, and what is added is dated before its transaction."""
_NAMED_MAX: Final = 10
_NAMES_LENGTH_MAX: Final = 500


async def take_back(change: Change, since: datetime) -> None:
    """Remove passkeys, a second factor, recovery codes and API keys that were added since.

    `since` is the reach of the link: when the session began whose act is disputed.
    """
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
    elif await audit_log.count_since(connection, account_id, Act.RECOVERY_CODES_RENEWED, begin):
        # Of an app that is the owner's: they make new ones, and whoever has read these cannot.
        await second_factors.remove_codes(connection, account_id)
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


async def what_stays(connection: AsyncConnection, account_id: str) -> dict[str, str]:
    """Return the names of an account's passkeys and keys, as `password_changed` has them."""
    passkeys, keys = people.passkeys.c, tables.api_keys.c
    own_passkeys = (
        sa.select(passkeys.name)
        .where(passkeys.account_id == account_id)
        .order_by(passkeys.added_at.desc())
    )
    own_keys = (
        sa.select(keys.label)
        .where(
            keys.account_id == account_id,
            keys.revoked_at.is_(None),
            # Those of buttons are on pages for anybody to read.
            keys.scopes != Scope.EMBED.value,
        )
        .order_by(keys.created_at.desc())
    )
    return {
        "passkeys": await _names(connection, own_passkeys),
        "keys": await _names(connection, own_keys),
    }


async def _names(connection: AsyncConnection, query: sa.Select[str]) -> str:
    found = (await connection.scalars(query.limit(_NAMED_MAX + 1))).all()
    # A passkey may have no name.
    names = ", ".join(name or "?" for name in found[:_NAMED_MAX])
    is_whole = len(found) <= _NAMED_MAX and len(names) <= _NAMES_LENGTH_MAX
    return names if is_whole else f"{names[:_NAMES_LENGTH_MAX]} …"
