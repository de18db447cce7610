"""Decides who may change things of an account, and records who did.

Runs within the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.audit_log import Act, Actor
from accounts.session import is_of_epoch
from accounts.stores import audit_log, holders
from accounts.stores import tables as people
from billing.stores import tables
from gateway import scopes as scope_names
from gateway.editors import ByKey, Editor
from gateway.operators import Order
from gateway.scopes import Scope

_KEYS = tables.api_keys.c


async def may_change(
    connection: AsyncConnection, account_id: str, editor: Editor, scope: Scope = Scope.BUTTONS
) -> bool:
    """Return whether a change is allowed; lock the row that allows it until the commit.

    A program's key must have this scope.
    """
    accounts = tables.accounts
    if isinstance(editor, ByKey) and not await _key_has_scope(
        connection, account_id, editor, scope
    ):
        return False
    if not isinstance(editor, int):
        found = sa.select(accounts.c.id).where(
            accounts.c.id == account_id, accounts.c.deleted_at.is_(None)
        )
        return await connection.scalar(found.with_for_update()) is not None
    query = (
        holders.SELECT.join(accounts, accounts.c.id == people.holders.c.account_id)
        .where(people.holders.c.account_id == account_id, accounts.c.deleted_at.is_(None))
        .with_for_update(of=people.holders)
    )
    holder = await holders.fetch(connection, query)
    return holder is not None and is_of_epoch(editor, holder)


async def _key_has_scope(
    connection: AsyncConnection, account_id: str, editor: ByKey, scope: Scope
) -> bool:
    """Return whether a program's key still has a scope."""
    query = sa.select(_KEYS.scopes).where(
        _KEYS.id == editor.key_id, _KEYS.account_id == account_id, _KEYS.revoked_at.is_(None)
    )
    scopes = await connection.scalar(query)
    return scopes is not None and scope in scope_names.from_text(scopes)


async def record(
    connection: AsyncConnection,
    account_id: str,
    editor: Editor,
    act: Act,
    at: datetime,
    *,
    about: str = "",
) -> None:
    """Record in the audit log what was done, and by whom.

    An operator's reason is prefixed with what it is `about`: they act on somebody else's things.
    """
    operator = reason = ""
    match editor:
        case ByKey():
            actor, operator = Actor.KEY, editor.key_id
        case Order():
            actor, operator = Actor.OPERATOR, editor.operator
            reason = f"{about}: {editor.reason}" if about else editor.reason
        case None:
            actor = Actor.OPERATOR
        case _:
            actor = Actor.HOLDER
    await audit_log.record(connection, account_id, act, at, actor, reason=reason, operator=operator)
