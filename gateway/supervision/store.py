"""Stores what accounts allow supervisors to do, in SQL, and unused grants, in Valkey.

Each change of a rule, and each act of a supervisor, has its line in the account's audit log.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act, Actor
from accounts.notice import Notice
from accounts.stores import audit_log
from accounts.stores import tables as people
from accounts.stores.valkey import bounded
from billing.clock import Clock, utc_now
from billing.stores import tables
from database.columns import NAMING_CONVENTION, UtcDateTime
from database.engine import TIMEOUT_S, reading, upsert, writing
from gateway.call.supervision import (
    GRANT_PREFIX,
    GRANT_S,
    SILENT_REASON_MAX,
    Deed,
    Grant,
    Mode,
    Rule,
)
from gateway.operators import Order
from gateway.stores.accounts import require_account
from gateway.stores.people_transactions import PeopleTransactions

_KEY_PREFIX: Final = "caller:supervision-grant:1:"
_AWAY: Final = "grants cannot be stored right now"

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

supervision_rules = sa.Table(
    "supervision_rules",
    metadata,
    # No foreign key, as in the audit log, which says who made each row and why.
    sa.Column("account_id", sa.String, primary_key=True),
    sa.Column("most", sa.String, nullable=False),
    sa.Column("silent_reason", sa.String, nullable=False, server_default=sa.text("''")),
    sa.Column("set_at", UtcDateTime, nullable=False),
    sa.CheckConstraint("most IN ('listen', 'whisper', 'barge', 'take-over')", name="most"),
    sa.CheckConstraint(
        f"length(silent_reason) <= {SILENT_REASON_MAX}", name="silent_reason_length"
    ),
)


async def erase_rule(connection: AsyncConnection, account_id: str) -> None:
    """Delete an account's rule, within the caller's transaction: nothing is allowed any more."""
    rows = supervision_rules
    await connection.execute(sa.delete(rows).where(rows.c.account_id == account_id))


async def erase_rule_since(connection: AsyncConnection, account_id: str, begin: datetime) -> bool:
    """Delete a rule that was set since, as `erase_rule` does; return whether there was one.

    The earlier rule is not known, so nothing is allowed any more.
    """
    rows = supervision_rules
    erased = await connection.execute(
        sa.delete(rows)
        .where(rows.c.account_id == account_id, rows.c.set_at >= begin)
        .returning(rows.c.account_id)
    )
    return erased.scalar() is not None


async def find_rule(connection: AsyncConnection, account_id: str) -> Rule:
    """Return what an account allows; nothing for an unknown account."""
    rows = supervision_rules.c
    query = sa.select(rows.most, rows.silent_reason).where(rows.account_id == account_id)
    found = (await connection.execute(query)).one_or_none()
    return Rule() if found is None else Rule(Mode(found.most), found.silent_reason)


async def _set(connection: AsyncConnection, account_id: str, rule: Rule, at: datetime) -> None:
    if rule.most is None:
        await erase_rule(connection, account_id)
        return
    values = {"most": rule.most, "silent_reason": rule.silent_reason, "set_at": at}
    await connection.execute(
        upsert(connection, supervision_rules)
        .values(account_id=account_id, **values)
        .on_conflict_do_update(index_elements=["account_id"], set_=values)
    )


class SqlSupervision:
    """Rules in SQLite or PostgreSQL. Every method raises StoreUnavailableError."""

    def __init__(
        self, engine: AsyncEngine, *, clock: Clock = utc_now, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._timeout_s = timeout_s

    async def rule(self, account_id: str) -> Rule:
        """Return what an account allows; nothing for an unknown account."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await find_rule(connection, account_id)

    async def known_rule(self, account_id: str) -> Rule:
        """Return what an account allows. Raises LookupError: no such account."""
        there = sa.select(tables.accounts.c.id).where(tables.accounts.c.id == account_id)
        async with reading(self._engine, self._timeout_s) as connection:
            if await connection.scalar(there) is None:
                raise LookupError("no such account")
            return await find_rule(connection, account_id)

    async def is_over(self, call_id: str, account_id: str | None) -> bool:
        """Return whether there was such a call, of this account or (None) of any."""
        calls = tables.calls.c
        over = sa.select(calls.id).where(
            calls.id == call_id, calls.closed, calls.forgotten_at.is_(None)
        )
        if account_id is not None:
            over = over.where(calls.account_id == account_id)
        async with reading(self._engine, self._timeout_s) as connection:
            return await connection.scalar(over) is not None

    async def order(self, account_id: str, rule: Rule, order: Order) -> bool:
        """Set, for an operator, the rule of an account that belongs to no person.

        False if it belongs to one: that person decides. Raises LookupError: no such account.
        """
        held = sa.select(people.holders.c.account_id)
        async with writing(self._engine, self._timeout_s) as connection:
            await require_account(connection, account_id)
            is_held = held.where(people.holders.c.account_id == account_id)
            if await connection.scalar(is_held) is not None:
                return False
            at = self._clock()
            await _set(connection, account_id, rule, at)
            await audit_log.record(
                connection,
                account_id,
                Act.SUPERVISION_SET,
                at,
                Actor.OPERATOR,
                reason=f"{_said(rule)}: {order.reason}",
                operator=order.operator,
            )
        return True

    async def note(self, grant: Grant, mode: Mode) -> None:
        """Record in the audit log of the call's account what is about to be done."""
        own = Actor.KEY if grant.key_id else Actor.HOLDER
        async with writing(self._engine, self._timeout_s) as connection:
            await audit_log.record(
                connection,
                grant.account_id,
                Act.CALL_SUPERVISED,
                self._clock(),
                Actor.OPERATOR if grant.operator else own,
                reason=f"{grant.call_id}: {mode}: {grant.reason}",
                operator=grant.operator or grant.key_id,
            )


class SqlHolderSupervision:
    """`gateway.supervision.own_rule.HolderSupervision` in SQLite or PostgreSQL.

    Every method raises StoreUnavailableError.
    """

    def __init__(self, people: PeopleTransactions) -> None:
        self._people = people

    async def rule(self, account_id: str) -> Rule:
        """Return what an account allows."""
        async with self._people.reading() as connection:
            return await find_rule(connection, account_id)

    async def choose(
        self,
        account_id: str,
        credentials_epoch: int,
        rule: Rule,
        *,
        may_widen: bool,
        notice: Notice,
    ) -> bool | None:
        """Set the rule of a holder's account; the notice announces one that allows more.

        None if the session is over; False, changing nothing, if it allows more and `may_widen` is
        False. A rule already in force stays, and is announced once.
        """
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return None
            before = await find_rule(change.connection, account_id)
            allows_more = rule.allows_more_than(before)
            if allows_more and not may_widen:
                return False
            if rule == before:
                return True
            await _set(change.connection, account_id, rule, change.at)
            await change.record(
                Act.SUPERVISION_SET,
                reason=f"{_said(rule)}: {rule.silent_reason}".rstrip(": "),
            )
            if allows_more:
                await change.tell(notice)
        return True

    async def deeds(self, account_id: str, limit: int) -> Sequence[Deed]:
        """Return what was done in an account's live calls, newest first."""
        async with self._people.reading() as connection:
            lines = await audit_log.of_account(
                connection, account_id, limit=limit, act=Act.CALL_SUPERVISED
            )
        return [_deed(each) for each in lines]


def _deed(line: audit_log.AuditEntry) -> Deed:
    # The format that `SqlSupervision.note` writes.
    call_id, mode, reason = line.reason.split(": ", 2)
    key_id = line.operator if line.actor is Actor.KEY else ""
    return Deed(line.at, line.actor.value, key_id, call_id, Mode(mode), reason)


def _said(rule: Rule) -> str:
    if rule.most is None:
        return "off"
    return f"up to {rule.most}" + ("" if rule.announces else ", without a tone")


class RedisGrants:
    """Unused grants. Every method raises StoreUnavailableError."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def issue(self, grant: Grant) -> str:
        """Return a new token for a grant, valid once and for `GRANT_S`."""
        token = GRANT_PREFIX + secrets.token_urlsafe(24)
        async with bounded(_AWAY):
            await self._redis.set(_key(token), msgspec.json.encode(grant), ex=GRANT_S)
        return token

    async def redeem(self, token: str) -> Grant | None:
        """Return the grant of a token and delete it; None for a wrong, used or expired one."""
        # Atomic: if the same token is brought twice at once, to any nodes, one gets the grant.
        async with bounded(_AWAY):
            stored = await self._redis.getdel(_key(token))
        return None if stored is None else msgspec.json.decode(stored, type=Grant)


def _key(token: str) -> str:
    # Hashed, so that no one who reads Redis, or a copy of it, can listen to a call.
    return _KEY_PREFIX + hashlib.sha256(token.encode()).hexdigest()
