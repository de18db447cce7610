"""Stores operators' acts in SQL, each with its line in the audit log, in one transaction.

Like `people`, joins personal data to the account. Never reads a password, secret or second factor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act, Actor
from accounts.erasure import Unspent
from accounts.link import STALE_AFTER_LOCK, Purpose
from accounts.notice import Notice
from accounts.stores import audit_log, countries, devices, erasures, holders
from accounts.stores import tables as people
from billing.clock import Clock, utc_now
from billing.stores import tables
from billing.stores.freezes import FreezeReason, freeze_reasons, set_freeze
from database.engine import TIMEOUT_S, reading, writing
from gateway.administration.ports import (
    FOUND_MAX,
    LINES_MAX,
    AccountState,
    FoundAccount,
    Line,
    Refusals,
)
from gateway.limits.fraud import Allowance
from gateway.operators import NODES, Order
from gateway.people.second_factor_store import SqlSecondFactors
from gateway.stores import fraud
from gateway.stores.card_events import stop_automatic_top_ups
from gateway.stores.people_transactions import (
    Change,
    OnFreeze,
    PeopleTransactions,
    Queue,
    freeze_nobody,
)

REFUSALS_SHOWN: Final = 20
_FREEZES: Final = {
    FreezeReason.OPERATOR: "an operator, who gave no reason",
    FreezeReason.DISPUTE: "a payment is disputed",
    FreezeReason.LOCKED: "its holder is locked out",
    FreezeReason.LEAVING: "its holder has asked for its deletion",
    FreezeReason.RESTRICTED: "its holder wants their data kept and not used",
}
_UNSPENT: Final = {
    Unspent.REFUND: "credit goes back to the cards it was paid with",
    Unspent.GIVE_UP: "credit is given up",
    Unspent.KEEP: "there is no credit",
}
_ACCOUNTS, _HOLDERS = tables.accounts.c, people.holders.c
_FOUND = sa.select(
    _ACCOUNTS.id,
    sa.func.coalesce(_HOLDERS.email, _ACCOUNTS.email).label("email"),
    _HOLDERS.account_id.is_not(None).label("has_holder"),
    _ACCOUNTS.frozen,
    _HOLDERS.locked_at.is_not(None).label("locked"),
    _ACCOUNTS.deleted_at.is_not(None).label("deleted"),
    _ACCOUNTS.created_at,
).select_from(tables.accounts.outerjoin(people.holders, _HOLDERS.account_id == _ACCOUNTS.id))


class SqlAdministration:
    """`gateway.administration.ports.AdminBook` in SQLite or PostgreSQL."""

    def __init__(
        self,
        engine: AsyncEngine,
        queue: Queue,
        *,
        on_freeze: OnFreeze = freeze_nobody,
        clock: Clock = utc_now,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._engine = engine
        # The caller ends the key epoch: a command has to open Redis for that.
        self._people = PeopleTransactions(
            engine, queue, clock=clock, timeout_s=timeout_s, on_freeze=on_freeze
        )
        self._clock = clock
        self._timeout_s = timeout_s

    async def find(self, text: str, *, limit: int, after: str = "") -> Sequence[FoundAccount]:
        """Return accounts whose id or address contains a text, ignoring case, ordered by id."""
        held = text.lower()
        query = (
            _FOUND.where(
                sa.or_(
                    sa.func.lower(_ACCOUNTS.id).contains(held, autoescape=True),
                    sa.func.lower(_ACCOUNTS.email).contains(held, autoescape=True),
                    sa.func.lower(_HOLDERS.email).contains(held, autoescape=True),
                ),
                _ACCOUNTS.id > after,
            )
            .order_by(_ACCOUNTS.id)
            .limit(min(limit, FOUND_MAX + 1))
        )
        async with reading(self._engine, self._timeout_s) as connection:
            return [FoundAccount(*row) for row in await connection.execute(query)]

    async def state(self, account_id: str) -> AccountState:
        """Return the state of an account. Raises LookupError."""
        async with reading(self._engine, self._timeout_s) as connection:
            row = (await connection.execute(_FOUND.where(_ACCOUNTS.id == account_id))).one_or_none()
            if row is None:
                raise LookupError("no such account")
            found = FoundAccount(*row)
            holder = await holders.find(connection, account_id)
            known = await devices.of_account(connection, account_id)
            signed_in = await audit_log.last(
                connection, account_id, Act.SIGNED_IN, Act.DEVICE_ADDED
            )
            return AccountState(
                found=found,
                **await _money_of(connection, account_id),
                freezes=await _freezes(connection, found),
                is_proven=holder is not None and holder.is_proven,
                locked_at=None if holder is None else holder.locked_at,
                has_second_factor=await _has_second_factor(connection, account_id),
                credentials_epoch=None if holder is None else holder.credentials_epoch,
                last_sign_in_at=None if signed_in is None else signed_in.at,
                devices=len(known),
                keys=await _keys_of(connection, account_id),
                opened=sorted(await countries.of_account(connection, account_id)),
                lifted=await fraud.overrides_of(connection, account_id),
                refusals=[
                    Refusals(each.hour, each.rule, each.count)
                    for each in await fraud.refusals_of(
                        connection, account_id, limit=REFUSALS_SHOWN
                    )
                ],
            )

    async def lines(
        self, account_id: str, *, limit: int, before: int | None = None
    ) -> Sequence[Line]:
        """Return lines of the audit log, newest first; they outlive the account."""
        limit = min(limit, LINES_MAX + 1)
        async with reading(self._engine, self._timeout_s) as connection:
            return [
                Line(each.number, each.at, each.act, each.actor, each.operator, each.reason)
                for each in await audit_log.of_account(
                    connection, account_id, limit=limit, before=before
                )
            ]

    async def freeze(self, account_id: str, frozen: bool, order: Order) -> bool:
        """Freeze or thaw; return whether it is frozen from now on, perhaps for another reason."""
        act = Act.FROZEN if frozen else Act.UNFROZEN
        async with self._account(account_id) as connection:
            reason, at = FreezeReason.OPERATOR, self._clock()
            before = (
                await freeze_reasons(connection, account_id),
                await _is_frozen(connection, account_id),
            )
            is_frozen = await set_freeze(connection, account_id, reason, frozen, at)
            last = await audit_log.last(connection, account_id, Act.FROZEN, Act.UNFROZEN)
            said = (act, order.operator, order.reason)
            # A repeat because the gate was unreachable is the same act.
            is_repeat = last is not None and (last.act, last.operator, last.reason) == said
            # Freezing adds one more reason; a release may turn out to change nothing.
            is_nothing = not frozen and before == (
                await freeze_reasons(connection, account_id),
                is_frozen,
            )
            if not is_repeat and not is_nothing:
                await self._record(connection, account_id, act, order)
        return is_frozen

    async def lock(self, account_id: str, order: Order) -> None:
        """Lock its holder out, until they set another password."""
        async with self._holder(account_id) as change:
            if change.holder.locked_at is not None:
                return
            await change.end_links(STALE_AFTER_LOCK)
            await holders.change(
                change.connection, account_id, begins_epoch=True, locked_at=change.at
            )
            await _record(change, Act.LOCKED, order)
            # End its calls as well: the person being locked out may be in the middle of one.
            await change.freeze(FreezeReason.LOCKED, True)
            await stop_automatic_top_ups(change.connection, account_id, change.at)
            email = change.holder.email
            await change.tell(Notice("locked", email, link=Purpose.RESET_PASSWORD))

    async def unlock(self, account_id: str, order: Order) -> None:
        """Let its holder in again."""
        async with self._holder(account_id) as change:
            if change.holder.locked_at is not None:
                await holders.change(change.connection, account_id, locked_at=None)
                await change.freeze(FreezeReason.LOCKED, False)
                await _record(change, Act.UNLOCKED, order)

    async def sign_out(self, account_id: str, order: Order) -> None:
        """End all sessions of its holder."""
        async with self._holder(account_id) as change:
            await change.begin_epoch()
            await _record(change, Act.SESSIONS_ENDED, order)

    async def reset_second_factor(self, account_id: str, order: Order) -> bool:
        """Remove second factor and passkeys; False if there are none, or no holder."""
        # No secret is decrypted: what is removed may be sealed under a key that no longer exists.
        factors = SqlSecondFactors(self._people, None)
        notice = Notice("second_factor_changed", values={"change": "reset"}, link=Purpose.NOT_ME)
        return await factors.reset(account_id, notice, operator=order.operator, reason=order.reason)

    async def note_credit(self, account_id: str, reference: str, amount: str, order: Order) -> None:
        """Record once that credit was given or taken back; the ledger has its reference."""
        await self._note_once(account_id, Act.CREDITED, f"{reference}: ", amount, order)

    async def note_refund(
        self, account_id: str, payment_id: str, reference: str, amount: str, order: Order
    ) -> None:
        """Record once that a payment was refunded, under the reference of that refund."""
        name = f"{payment_id}: {reference}: "
        await self._note_once(account_id, Act.PAYMENT_REFUNDED, name, amount, order)

    async def _note_once(
        self, account_id: str, act: Act, name: str, amount: str, order: Order
    ) -> None:
        # Truncated here, so that a repeat with another reason is recognised by it.
        name = name[: people.REASON_MAX]
        reason = f"{name}{amount}: {order.reason}"
        events = people.account_events.c
        # Also for a deleted account: money that arrives late is sent back even then.
        account = sa.select(_ACCOUNTS.id).where(_ACCOUNTS.id == account_id)
        async with writing(self._engine, self._timeout_s) as connection:
            if await connection.scalar(account.with_for_update()) is None:
                raise LookupError("no such account")
            known = sa.select(events.id).where(
                events.account_id == account_id,
                events.act == act.value,
                # Not LIKE, which ignores case in SQLite.
                sa.func.substr(events.reason, 1, len(name)) == name,
            )
            if await connection.scalar(known.limit(1)) is None:
                await self._record(connection, account_id, act, order, reason)

    async def note_ended_call(self, account_id: str, call_id: str, order: Order) -> None:
        """Record that an operator ended a call."""
        async with self._account(account_id) as connection:
            reason = f"{call_id}: {order.reason}"
            await self._record(connection, account_id, Act.CALL_ENDED, order, reason)

    async def note_log_level(self, node: str, level: str, order: Order) -> None:
        """Record that an operator changed the log level of a node."""
        reason = f"{node}: {level}: {order.reason}"
        async with writing(self._engine, self._timeout_s) as connection:
            await self._record(connection, NODES, Act.LOG_LEVEL_SET, order, reason)

    async def lift(self, account_id: str, rule: Allowance, until: datetime, order: Order) -> None:
        """Lift a rule of admission until a given time."""
        async with self._account(account_id) as connection:
            lifted = await fraud.overrides_of(connection, account_id)
            if lifted.get(rule) == until:
                return
            await fraud.lift(connection, account_id, rule, until)
            reason = f"{rule.value} until {until:%Y-%m-%d %H:%M} UTC: {order.reason}"
            await self._record(connection, account_id, Act.RULE_ALLOWED, order, reason)

    async def restore(self, account_id: str, rule: Allowance, order: Order) -> None:
        """Put a rule of admission back in force."""
        async with self._account(account_id) as connection:
            if await fraud.restore(connection, account_id, rule):
                reason = f"{rule.value}: {order.reason}"
                await self._record(connection, account_id, Act.RULE_RESTORED, order, reason)

    async def _record(
        self,
        connection: AsyncConnection,
        account_id: str,
        act: Act,
        order: Order,
        reason: str = "",
    ) -> None:
        await audit_log.record(
            connection,
            account_id,
            act,
            self._clock(),
            Actor.OPERATOR,
            reason=reason or order.reason,
            operator=order.operator,
        )

    @asynccontextmanager
    async def _account(self, account_id: str) -> AsyncIterator[AsyncConnection]:
        """Open a transaction with an account's lock. Raises LookupError."""
        there = sa.select(_ACCOUNTS.id).where(
            _ACCOUNTS.id == account_id, _ACCOUNTS.deleted_at.is_(None)
        )
        async with writing(self._engine, self._timeout_s) as connection:
            if await connection.scalar(there.with_for_update()) is None:
                raise LookupError("no such account")
            yield connection

    @asynccontextmanager
    async def _holder(self, account_id: str) -> AsyncIterator[Change]:
        """Open a transaction with a holder's lock. Raises LookupError."""
        async with self._people.changing_for_operator(account_id) as change:
            if change is None:
                raise LookupError("no holder of this account")
            yield change


async def _record(change: Change, act: Act, order: Order) -> None:
    await change.record(act, Actor.OPERATOR, reason=order.reason, operator=order.operator)


async def _has_second_factor(connection: AsyncConnection, account_id: str) -> bool:
    """Return whether the account has a second factor or passkeys, without reading either."""
    factors = (people.second_factors, people.passkeys)
    there = (sa.exists().where(table.c.account_id == account_id) for table in factors)
    return bool(await connection.scalar(sa.select(sa.or_(*there))))


async def _money_of(connection: AsyncConnection, account_id: str) -> dict[str, Any]:
    money = sa.select(_ACCOUNTS.currency, _ACCOUNTS.balance_micros)
    row = (await connection.execute(money.where(_ACCOUNTS.id == account_id))).one()
    return row._asdict()


async def _freezes(connection: AsyncConnection, found: FoundAccount) -> Sequence[str]:
    """Return why an account is frozen, according to the book."""
    if not found.frozen:
        return ()
    if found.deleted:
        # A deletion supersedes every other reason.
        query = sa.select(_ACCOUNTS.deleted_at).where(_ACCOUNTS.id == found.id)
        return [f"the account was deleted on {await connection.scalar(query):%Y-%m-%d %H:%M} UTC"]
    reasons = []
    last = await audit_log.last(connection, found.id, Act.FROZEN, Act.UNFROZEN)
    erasure = await erasures.find(connection, found.id)
    for reason in sorted(await freeze_reasons(connection, found.id)):
        text = _FREEZES[reason]
        if reason is FreezeReason.OPERATOR and last is not None and last.act is Act.FROZEN:
            text = f"{last.operator}, {last.at:%Y-%m-%d %H:%M} UTC: {last.reason}"
        if reason is FreezeReason.LEAVING and erasure is not None and erasure.is_open:
            text += f", due on {erasure.due_at:%Y-%m-%d %H:%M} UTC; {_UNSPENT[erasure.unspent]}"
        reasons.append(text)
    return reasons


async def _is_frozen(connection: AsyncConnection, account_id: str) -> bool:
    query = sa.select(_ACCOUNTS.frozen).where(_ACCOUNTS.id == account_id)
    return bool(await connection.scalar(query))


async def _keys_of(connection: AsyncConnection, account_id: str) -> int:
    keys = tables.api_keys.c
    counted = sa.select(sa.func.count()).where(
        keys.account_id == account_id, keys.revoked_at.is_(None)
    )
    return int(await connection.scalar(counted) or 0)
