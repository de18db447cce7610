"""Stores the API keys that people make for themselves, with the mail and audit line of each.

Only hashes of keys are stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act
from accounts.notice import Notice
from accounts.session import is_of_epoch
from accounts.stores import audit_log, holders, links
from accounts.stores import tables as people
from billing.clock import Clock, utc_now
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, upsert, writing
from gateway import scopes as scope_names
from gateway.own_keys import KeyMaking, NewKey, OwnKey
from gateway.scopes import Scope
from gateway.stores.accounts import KEY_ID_CHARACTERS
from gateway.stores.mail_outbox import queue_notice

KEYS_MAX: Final = 20
"""Keys that an account may have at once, including expired ones until they are revoked."""

_KEYS = tables.api_keys.c
_IS_SECRET: Final = _KEYS.scopes != Scope.EMBED.value
"""Keys of buttons are listed with their buttons."""


class SqlHolderKeys:
    """`HolderKeys` in SQLite or PostgreSQL. Every method raises StoreUnavailableError.

    `on_change` is awaited after each commit that revokes a key; if it raises
    StoreUnavailableError, the key is revoked, and a repeat calls it again.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        on_change: Callable[[], Awaitable[None]],
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
    ) -> None:
        self._engine = engine
        self._on_change = on_change
        self._timeout_s = timeout_s
        self._clock = clock

    async def standing(self, account_id: str) -> Sequence[OwnKey]:
        """Return an account's keys that are not revoked, newest first; at most 200."""
        query = (
            sa.select(
                _KEYS.id,
                _KEYS.label,
                _KEYS.created_at,
                _KEYS.day_cap_micros,
                _KEYS.scopes,
                _KEYS.expires_at,
            )
            .where(_KEYS.account_id == account_id, _KEYS.revoked_at.is_(None), _IS_SECRET)
            .order_by(_KEYS.created_at.desc(), _KEYS.id)
            # An operator may make more than a person can.
            .limit(10 * KEYS_MAX)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            rows = await connection.execute(query)
            return [
                OwnKey(*row[:4], scope_names.from_text(row.scopes), row.expires_at) for row in rows
            ]

    async def make(
        self, account_id: str, credentials_epoch: int, new: NewKey, notice: Notice
    ) -> KeyMaking:
        """Make a key and queue the mail about it. A repeat makes no second one."""
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            if not await _lock_valid(connection, account_id, credentials_epoch):
                return KeyMaking.SESSION_OVER
            known = await connection.execute(
                sa.select(_KEYS.revoked_at).where(_KEYS.key_hash == new.key_hash)
            )
            if (row := known.one_or_none()) is not None:
                return KeyMaking.MADE if row.revoked_at is None else KeyMaking.REVOKED
            count = await connection.scalar(
                sa.select(sa.func.count()).where(
                    _KEYS.account_id == account_id, _KEYS.revoked_at.is_(None), _IS_SECRET
                )
            )
            if (count or 0) >= KEYS_MAX:
                return KeyMaking.TOO_MANY
            await connection.execute(
                upsert(connection, tables.api_keys).values(
                    id=new.key_hash[:KEY_ID_CHARACTERS],
                    key_hash=new.key_hash,
                    account_id=account_id,
                    label=new.label,
                    created_at=at,
                    day_cap_micros=new.day_cap_micros,
                    scopes=scope_names.to_text(new.scopes),
                    expires_at=new.expires_at,
                )
            )
            await audit_log.record(connection, account_id, Act.KEY_MADE, at)
            if notice.link is not None:
                await links.expect(connection, account_id, notice.link, notice.recipient, at)
            await queue_notice(connection, account_id, notice, at)
        return KeyMaking.MADE

    async def revoke(self, account_id: str, credentials_epoch: int, key_id: str) -> bool:
        """Revoke a key; False if the session is over. A repeat returns True, changing nothing."""
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            if not await _lock_valid(connection, account_id, credentials_epoch):
                return False
            revoked = await connection.execute(
                sa.update(tables.api_keys)
                .where(
                    _KEYS.id == key_id,
                    _KEYS.account_id == account_id,
                    _IS_SECRET,
                    # A repeat keeps the time of the first.
                    _KEYS.revoked_at.is_(None),
                )
                .values(revoked_at=at)
                .returning(_KEYS.id)
            )
            if revoked.scalar() is not None:
                await audit_log.record(connection, account_id, Act.KEY_REVOKED, at)
        # At a repeat too: the first attempt may have failed at exactly this step.
        await self._on_change()
        return True


async def _lock_valid(connection: AsyncConnection, account_id: str, credentials_epoch: int) -> bool:
    """Return whether a session is valid, and lock its holder until the commit."""
    accounts = tables.accounts.c
    query = (
        holders.SELECT.join(tables.accounts, accounts.id == people.holders.c.account_id)
        .where(people.holders.c.account_id == account_id, accounts.deleted_at.is_(None))
        .with_for_update(of=people.holders)
    )
    holder = await holders.fetch(connection, query)
    return holder is not None and is_of_epoch(credentials_epoch, holder)
