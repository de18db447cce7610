"""Erases accounts in SQL, and records the progress of each erasure.

Joins the personal data of `accounts`, the calls and payments of `billing`, and the mails. The spend
gate's copy of call data is changed before the book, so that a restored copy of either never brings
a number back into the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act, Actor
from accounts.data_request import Right
from accounts.erasure import STEPS, Erasure, ErasureState, ErasureStep, Unspent
from accounts.notice import LAST_NOTICE, Notice
from accounts.stores import audit_log, consents, data_requests, erasures, holders
from accounts.stores import tables as people
from billing.clock import Clock, utc_now
from billing.stores import call_forgetting, deletion_refunds, saved_cards, tables
from billing.stores.late_payments import given_up, late_payments, sent_back
from database.engine import TIMEOUT_S, reading, writing
from gateway.apps import personal_rows
from gateway.operators import Order
from gateway.stores.accounts import close
from gateway.stores.fraud import erase_fraud_rows
from gateway.stores.mail_outbox import erase_mails, queue_notice

LEASED: Final = timedelta(minutes=5)
"""How long a step may take before another process does it too, which is harmless."""

REOPENED_MAX: Final = 50
"""Deletions that one look reopens."""

Restate = Callable[[str, Mapping[str, tuple[bytes, bytes]]], Awaitable[None]]
"""Replaces the spend gate's copy of an account's calls. May raise StoreUnavailableError."""


async def _remembers_nothing(_account_id: str, _calls: Mapping[str, tuple[bytes, bytes]]) -> None:
    """Do nothing: there is no spend gate."""


class SqlErasing:
    """Erasures in SQLite or PostgreSQL. Every method raises StoreUnavailableError."""

    def __init__(
        self,
        engine: AsyncEngine,
        restate: Restate = _remembers_nothing,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
    ) -> None:
        """Take a database, and what replaces the spend gate's copy of calls."""
        self._engine = engine
        self._restate = restate
        self._timeout_s = timeout_s
        self._clock = clock

    async def find(self, account_id: str) -> Erasure | None:
        """Return an account's deletion, in whatever state it is."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await erasures.find(connection, account_id)

    async def begin_now(
        self, account_id: str, unspent: Unspent, actor: Actor, order: Order | None = None
    ) -> None:
        """Record a deletion that is due at once; a completed one is done again.

        An operator's order closes the account, with a line in the audit log and one in the register
        of requests; so does erasing again what came back with an older copy. An order that only
        repeats a deletion in progress gets none: the first one has them. Raises LookupError: no
        such account.
        """
        at = self._clock()
        erasure = Erasure(account_id, ErasureState.WAITING, STEPS[0], unspent, actor, at, at)
        async with writing(self._engine, self._timeout_s) as connection:
            # Before the account, the same order as for people who ask for their own deletion.
            has_begun = await erasures.begin_now(connection, erasure)
            if order is not None:
                is_new = await close(connection, account_id, at) or has_begun
            else:
                is_new = has_begun and actor is Actor.SERVICE
            if is_new:
                await data_requests.ask(connection, account_id, Right.DELETION, at)
            if is_new and order is not None:
                await audit_log.record(
                    connection,
                    account_id,
                    Act.DELETION_ASKED,
                    at,
                    actor,
                    reason=order.reason,
                    operator=order.operator,
                )

    async def held_until(self, account_id: str) -> datetime | None:
        """Return until when a process holds a deletion unless it renews it; else None."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await erasures.held_until(connection, account_id, self._clock())

    async def lease(self, account_id: str) -> Erasure | None:
        """Take a deletion that is due, or this account's; None if there is none to take."""
        at = self._clock()
        # A look first, so as not to take SQLite's write lock each time for nothing.
        async with reading(self._engine, self._timeout_s) as connection:
            if not await erasures.is_any_due(connection, at):
                return None
        async with writing(self._engine, self._timeout_s) as connection:
            return await erasures.lease(connection, at, at + LEASED, account_id=account_id)

    async def proceed(self, account_id: str, step: ErasureStep) -> None:
        """Record that everything before this step is done."""
        async with writing(self._engine, self._timeout_s) as connection:
            await erasures.proceed(connection, account_id, step, self._clock() + LEASED)

    async def rest(self, account_id: str, pause: timedelta) -> None:
        """Give a deletion back; no one takes it for this long."""
        async with writing(self._engine, self._timeout_s) as connection:
            await erasures.rest(connection, account_id, self._clock() + pause)

    async def finish(self, account_id: str) -> None:
        """Record that the last step is done, and that the person's request is fulfilled.

        Records nothing if the deletion has started over meanwhile.
        """
        at = self._clock()
        async with writing(self._engine, self._timeout_s) as connection:
            if not await erasures.finish(connection, account_id, at):
                return
            await data_requests.answer_all(connection, account_id, at, Actor.SERVICE)
            await audit_log.record(connection, account_id, Act.ERASED, at, Actor.SERVICE)

    async def waiting_for_files(self) -> Sequence[str]:
        """Return accounts of which nothing is left except in old files."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await erasures.waiting_for_files(connection)

    async def reopen_paid_late(self) -> Sequence[str]:
        """Reopen, from the credit step on, deletions after which a payment arrived.

        Return their accounts, at most `REOPENED_MAX`. One that waits for old files only restarts
        there; one still in progress is found once it gets that far.
        """
        late = late_payments().with_only_columns(tables.payments.c.account_id).distinct()
        of = people.erasures.c
        query = (
            late.join(people.erasures, of.account_id == tables.payments.c.account_id)
            .where(erasures.IS_DONE_BUT_FILES)
            .limit(REOPENED_MAX)
        )
        return await self._reopen(query)

    async def reopen_failed_refunds(self) -> Sequence[str]:
        """Reopen, from the credit step on, deletions with a refund that is to be retried.

        Return their accounts, as `reopen_paid_late` does.
        """
        failed = deletion_refunds.to_be_tried(self._clock()).subquery()
        of = people.erasures.c
        return await self._reopen(
            sa.select(failed.c.account)
            .join(people.erasures, of.account_id == failed.c.account)
            .where(erasures.IS_DONE_BUT_FILES)
            .limit(REOPENED_MAX)
        )

    async def has_failed_before(self, erasure: Erasure) -> bool:
        """Return whether a refund that was on its way to a card before this run has failed.

        Only for a reopened deletion: one requested again is done as requested.
        """
        if erasure.due_at <= erasure.asked_at:
            return False
        async with reading(self._engine, self._timeout_s) as connection:
            return await deletion_refunds.has_failed_begun_before(
                connection, erasure.account_id, erasure.due_at
            )

    async def _reopen(self, query: sa.Select[Any]) -> Sequence[str]:
        # A look first, so as not to take SQLite's write lock each time for nothing.
        async with reading(self._engine, self._timeout_s) as connection:
            found = (await connection.scalars(query)).all()
        if not found:
            return ()
        async with writing(self._engine, self._timeout_s) as connection:
            at = self._clock()
            return [
                account_id
                for account_id in found
                if await erasures.reopen(connection, account_id, ErasureStep.CREDIT, at)
            ]

    async def erased(self, since: datetime, after: str = "") -> Sequence[Erasure]:
        """Return deletions whose person is gone, except those that ended before `since`.

        One page, by account number, after the number `after`; empty if none is left.
        """
        async with reading(self._engine, self._timeout_s) as connection:
            return await erasures.erased(connection, since, after)

    async def standing(self, account_ids: Collection[str]) -> Mapping[str, datetime]:
        """Return accounts neither erased nor being erased -> when they were created."""
        accounts, of = tables.accounts.c, people.erasures.c
        # For one erased many years ago the deletion is forgotten, but not that it is gone.
        query = sa.select(accounts.id, accounts.created_at).where(
            accounts.id.in_(account_ids),
            accounts.deleted_at.is_(None),
            accounts.id.not_in(
                sa.select(of.account_id).where(
                    of.state.in_((ErasureState.ERASING, ErasureState.DONE))
                )
            ),
        )
        async with reading(self._engine, self._timeout_s) as connection:
            return {row.id: row.created_at for row in await connection.execute(query)}

    async def blank_records(self, account_id: str) -> bool:
        """Blank some of an account's calls and its payments' details; return if none is left."""
        async with reading(self._engine, self._timeout_s) as connection:
            rows = await call_forgetting.whole_of(connection, account_id)
        if rows:
            memories = {row.id: call_forgetting.memory_of(row) for row in rows}
            await self._restate(account_id, memories)
        async with writing(self._engine, self._timeout_s) as connection:
            await connection.run_sync(call_forgetting.forget, rows, self._clock())
            await _lift_caps(connection, account_id)
            await _blank_payments(connection, account_id)
            await _blank_rejected(connection, account_id)
        return len(rows) < call_forgetting.ACCOUNT_BATCH

    async def erase_person(self, account_id: str) -> None:
        """Erase the holder and all personal data, and queue the last mail.

        A proof of what they accepted is kept under a digest; the labels of keys, the card and the
        reasons of operators' acts go as well. Repeating it changes nothing.
        """
        digest = await self._digest(account_id)
        at = self._clock()
        accounts, keys, profiles = tables.accounts, tables.api_keys, tables.payment_profiles
        async with writing(self._engine, self._timeout_s) as connection:
            # First, because changes of a holder lock the holder before the account.
            holder = await holders.find(connection, account_id)
            if holder is not None:
                await consents.keep_proof(connection, account_id, digest, at)
            await holders.erase_holder(connection, account_id)
            await connection.execute(
                sa.update(accounts).where(accounts.c.id == account_id).values(email="")
            )
            await connection.execute(
                sa.update(keys).where(keys.c.account_id == account_id).values(label="")
            )
            # The payment service has the card itself; this row only has our name for it.
            await connection.execute(sa.delete(profiles).where(profiles.c.account_id == account_id))
            await saved_cards.forget_requests(connection, account_id)
            await erase_mails(connection, account_id)
            await erase_fraud_rows(connection, account_id)
            for rows in personal_rows().values():
                await rows.erase(connection, account_id)
            is_own = people.account_events.c.account_id == account_id
            await audit_log.erase_reasons(connection, is_own)
            await data_requests.erase_notes(connection, account_id)
            if holder is not None and holder.is_proven:
                # The holder's language is erased too, so the mail carries it.
                values = {"language": holder.language}
                for name, ended in (("sent_back", sent_back), ("given_up", given_up)):
                    if micros := await ended(connection, account_id):
                        values[f"{name}_micros"] = str(micros)
                last = Notice(LAST_NOTICE, holder.email, values)
                await queue_notice(connection, account_id, last, at)

    async def _digest(self, account_id: str) -> str:
        async with reading(self._engine, self._timeout_s) as connection:
            if await holders.find(connection, account_id) is None:
                return ""
            email_key = await holders.email_key(connection, account_id)
        # Off the loop, and outside of a transaction: it takes a tenth of a second.
        return await asyncio.to_thread(consents.proof_digest, account_id, email_key)


async def _lift_caps(connection: AsyncConnection, account_id: str) -> None:
    """Remove the limits that the person set.

    Together with the calls: their times are changed, so no counter of a cap could be rebuilt.
    """
    accounts, keys = tables.accounts, tables.api_keys
    await connection.execute(
        sa.update(accounts)
        .where(accounts.c.id == account_id)
        .values(
            call_cap_micros=None, day_cap_micros=None, month_cap_micros=None, caps_counted_from=None
        )
    )
    await connection.execute(
        sa.update(keys)
        .where(keys.c.account_id == account_id)
        .values(day_cap_micros=None, month_cap_micros=None, caps_counted_from=None)
    )


async def _blank_payments(connection: AsyncConnection, account_id: str) -> None:
    """Delete the links to the payment service's receipts: those pages name the person."""
    payments = tables.payments
    await connection.execute(
        sa.update(payments)
        .where(payments.c.account_id == account_id, payments.c.receipt_url != "")
        .values(receipt_url="")
    )


async def _blank_rejected(connection: AsyncConnection, account_id: str) -> None:
    """Blank entries that could not be read, keeping the fact that they arrived."""
    rejected = tables.rejected_entries
    # As a value of the entry, or within a record, which is JSON in JSON.
    named = (f'"{account_id}"', f'\\"{account_id}\\"')
    await connection.execute(
        sa.update(rejected)
        .where(sa.or_(*(rejected.c.fields.contains(name, autoescape=True) for name in named)))
        .values(fields="{}")
    )
