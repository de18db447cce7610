"""Deletes from SQL what has passed its promised retention period, in bounded batches.

One sweep for each kind of the data map that the database does not expire by itself. Each batch is
its own transaction and finds its rows by an index; the next one no longer finds what it has done,
so a crash leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.erasure import ErasureState
from accounts.money_kinds import BOOK_YEARS
from accounts.personal_data import (
    EXPORT_NOTED,
    MAILS_KEPT,
    UNPROVEN_KEPT,
    months_before,
    years_before,
)
from accounts.stores import audit_log, links
from accounts.stores import tables as people
from accounts.stores.holders import erase_holder
from billing.clock import Clock, utc_now
from billing.payments import PaymentState
from billing.stores import call_forgetting, tables
from billing.stores.freezes import is_used
from database.engine import AUDIT_TIMEOUT_S, TIMEOUT_S, Transactions, reading_long, writing
from gateway.apps import personal_rows
from gateway.data_map import CALL_MONTHS_MAX, KINDS
from gateway.personal_data.old_keys import SqlOldKeys
from gateway.stores.book_closing import SqlBookClosing
from gateway.stores.fraud import REFUSALS_KEPT, call_refusals, erase_fraud_rows
from gateway.stores.mail_outbox import erase_mails, have_ended, mail_outbox
from gateway.stores.sent_forms import SENT_KEPT, sent_forms

BATCH: Final = 100
"""Rows per transaction, so that no other writer waits for long; more would be no cheaper each."""
ACCOUNTS_BATCH: Final = 50
"""Accounts per transaction; each takes a dozen statements."""
CHUNKS_BATCH: Final = 20
"""Megabytes of exports per transaction."""
KEYS: Final = "keys"
BOOKS: Final = "books"
"""This kind is also carried forward, see `billing.stores.closed_books`."""
_OF_APPS: Final = personal_rows().values()
_IN_VAIN: Final = (PaymentState.EXPIRED.value, PaymentState.FAILED.value)
_MONTHS: Final = {kind.name: kind.period.count for kind in KINDS}
"""Kind -> months that it is kept, if its period is in months."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """How one kind is swept."""

    batch: int
    """Rows per batch; fewer mean that none is left."""
    due: Callable[[datetime], sa.Select[Any]]
    """Returns the query that counts what is due for deletion (now)."""
    forget: Callable[[AsyncConnection, datetime], Awaitable[int]] | None
    """Deletes one batch (connection, now); returns how many rows."""
    forget_at_once: Callable[[sa.Connection, datetime], int] | None = None
    """The same if it takes long: SQLite does it in one visit to a thread, so that no other writer
    waits for the event loop."""


class SqlRetention:
    """The sweeps of one database. Every method raises StoreUnavailableError."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        calls_kept_months: int = CALL_MONTHS_MAX,
        books_kept_years: int = BOOK_YEARS,
        clock: Clock = utc_now,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._timeout_s = timeout_s
        self._transactions = Transactions(engine, timeout_s)
        self._sweeps = sweeps(calls_kept_months, books_kept_years)
        # Books last: calls of an account are deleted before them.
        self._apart: Mapping[str, SqlOldKeys | SqlBookClosing] = {
            KEYS: SqlOldKeys(engine, books_kept_years, clock, timeout_s),
            BOOKS: SqlBookClosing(engine, books_kept_years, clock, timeout_s),
        }
        """Kinds whose rows are searched for outside of the transaction that deletes them."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are swept, in the order in which they should be."""
        return (*self._sweeps, *self._apart)

    async def due(self, kind: str) -> int:
        """Return how many rows of a kind are to be deleted; changes nothing."""
        if kind in self._apart:
            return await self._apart[kind].due()
        async with reading_long(self._engine, AUDIT_TIMEOUT_S) as connection:
            return int(await connection.scalar(self._sweeps[kind].due(self._clock())) or 0)

    async def sweep(self, kind: str) -> tuple[int, bool]:
        """Delete one batch of a kind; return how many rows, and whether more may be left."""
        if kind in self._apart:
            return await self._apart[kind].sweep()
        sweep, now = self._sweeps[kind], self._clock()
        if (at_once := sweep.forget_at_once) is not None:
            count = await self._transactions.run(lambda connection: at_once(connection, now))
        else:
            assert sweep.forget is not None
            async with writing(self._engine, self._timeout_s) as connection:
                count = await sweep.forget(connection, now)
        return count, count >= sweep.batch


def sweeps(
    calls_kept_months: int = CALL_MONTHS_MAX, books_kept_years: int = BOOK_YEARS
) -> Mapping[str, Sweep]:
    """Return kind of the data map -> its sweep."""

    def calls_before(now: datetime) -> datetime:
        return months_before(now, calls_kept_months)

    def forget_calls(connection: sa.Connection, now: datetime) -> int:
        before = calls_before(now)
        return call_forgetting.forget_older(connection, before, limit=BATCH, now=now)

    def is_old_event(now: datetime) -> sa.ColumnElement[bool]:
        events = people.account_events.c
        return sa.and_(
            events.at < months_before(now, _MONTHS["activity"]), is_used(events.account_id)
        )

    async def forget_events(connection: AsyncConnection, now: datetime) -> int:
        return await audit_log.forget(connection, is_old_event(now), limit=BATCH)

    return {
        "calls": Sweep(
            BATCH,
            lambda now: _count(tables.calls, call_forgetting.is_due(calls_before(now))),
            None,
            forget_calls,
        ),
        "devices": _unrestricted(
            people.devices,
            lambda now: people.devices.c.last_seen_at < months_before(now, _MONTHS["devices"]),
        ),
        "activity": Sweep(
            BATCH,
            lambda now: _count(people.account_events, is_old_event(now)),
            forget_events,
        ),
        "forms": _deletion(sent_forms, lambda now: sent_forms.c.at < now - SENT_KEPT),
        "reasons": Sweep(
            BATCH,
            lambda _now: _count(people.account_events, _are_reasons_of_erased()),
            _erase_reasons,
        ),
        "notes": Sweep(
            BATCH,
            lambda _now: _count(people.data_requests, _are_notes_of_erased()),
            _erase_notes,
        ),
        "refusals": _unrestricted(
            call_refusals, lambda now: call_refusals.c.hour < now - REFUSALS_KEPT
        ),
        "links": _deletion(people.links, lambda now: people.links.c.expires_at <= now - links.KEPT),
        "links_expected": _deletion(
            people.expected_links, lambda now: people.expected_links.c.lapses_at <= now
        ),
        **_of_books(lambda now: years_before(now, books_kept_years)),
        "proof": _deletion(
            people.consent_proofs, lambda now: people.consent_proofs.c.kept_until <= now
        ),
        "mails": _deletion(mail_outbox, lambda now: have_ended(now - MAILS_KEPT)),
        **{
            kind: _unrestricted(table, is_outdated)
            for rows in _OF_APPS
            for kind, (table, is_outdated) in rows.outdated.items()
        },
        "export_files": Sweep(
            CHUNKS_BATCH,
            lambda now: _count(people.export_chunks, _is_over(now)),
            _forget_chunks,
        ),
        "exports": _deletion(
            people.exports,
            lambda now: sa.and_(
                people.exports.c.asked_at < now - EXPORT_NOTED, ~_has_chunks().exists()
            ),
        ),
        # Last: it is the only one that deletes what other rows may still come to refer to.
        "account": Sweep(
            ACCOUNTS_BATCH,
            lambda now: _counted(_unproven(now)),
            _forget_unproven,
        ),
    }


def _of_books(before: Callable[[datetime], datetime]) -> Mapping[str, Sweep]:
    """Return the sweeps of records kept for the years that the law demands."""
    requests, erasures = people.data_requests, people.erasures
    payments, rejected = tables.payments, tables.rejected_entries
    return {
        "requests": _deletion(requests, lambda now: requests.c.done_at < before(now)),
        "requests_to_delete": _deletion(erasures, lambda now: erasures.c.ended_at < before(now)),
        "payments": _deletion(
            payments,
            lambda now: sa.and_(payments.c.created_at < before(now), _came_to_nothing()),
        ),
        "receipts": _receipts(before),
        "unread": _deletion(rejected, lambda now: rejected.c.at < before(now)),
    }


def _is_erased(account_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    erasures = people.erasures.c
    return account_id.in_(sa.select(erasures.account_id).where(erasures.state == ErasureState.DONE))


def _are_reasons_of_erased() -> sa.ColumnElement[bool]:
    """Return the condition for lines whose free text was written after the account was erased."""
    return sa.and_(audit_log.HAS_REASON, _is_erased(people.account_events.c.account_id))


async def _erase_reasons(connection: AsyncConnection, _now: datetime) -> int:
    return await audit_log.erase_reasons(connection, _are_reasons_of_erased(), limit=BATCH)


def _are_notes_of_erased() -> sa.ColumnElement[bool]:
    requests = people.data_requests.c
    return sa.and_(requests.note != "", _is_erased(requests.account_id))


async def _erase_notes(connection: AsyncConnection, _now: datetime) -> int:
    requests = people.data_requests
    found = sa.select(requests.c.id).where(_are_notes_of_erased()).limit(BATCH)
    ids = (await connection.scalars(found.with_for_update(skip_locked=True))).all()
    await connection.execute(sa.update(requests).where(requests.c.id.in_(ids)).values(note=""))
    return len(ids)


def _count(table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table).where(condition)


def _counted(query: sa.Select[Any]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(query.subquery())


def _deletion(table: sa.Table, condition: Callable[[datetime], sa.ColumnElement[bool]]) -> Sweep:
    """Return the sweep that deletes the rows of a table that meet a condition."""
    key = sa.tuple_(*table.primary_key)

    async def forget(connection: AsyncConnection, now: datetime) -> int:
        old = sa.select(*table.primary_key).where(condition(now)).limit(BATCH)
        rows = (await connection.execute(old.with_for_update(skip_locked=True))).all()
        if rows:
            found = key.in_([tuple(row) for row in rows])
            await connection.execute(sa.delete(table).where(found))
        return len(rows)

    return Sweep(BATCH, lambda now: _count(table, condition(now)), forget)


def _unrestricted(
    table: sa.Table, condition: Callable[[datetime], sa.ColumnElement[bool]]
) -> Sweep:
    """Return the same sweep, limited to accounts whose data may be used."""
    return _deletion(table, lambda now: sa.and_(condition(now), is_used(table.c.account_id)))


def _came_to_nothing() -> sa.ColumnElement[bool]:
    """Return the condition for payments that moved no money: no ledger entry refers to them."""
    payments, credits = tables.payments.c, tables.credits.c
    entry = sa.select(credits.payment_id).where(
        credits.account_id == payments.account_id, credits.payment_id == payments.id
    )
    return sa.and_(payments.state.in_(_IN_VAIN), ~entry.exists())


def _receipts(before: Callable[[datetime], datetime]) -> Sweep:
    """Return the sweep of links to the payment service's receipts, whose pages name the person."""
    payments = tables.payments

    def is_due(now: datetime) -> sa.ColumnElement[bool]:
        return sa.and_(payments.c.created_at < before(now), payments.c.receipt_url != "")

    async def forget(connection: AsyncConnection, now: datetime) -> int:
        old = sa.select(payments.c.id).where(is_due(now)).limit(BATCH)
        found = (await connection.scalars(old.with_for_update(skip_locked=True))).all()
        await connection.execute(
            sa.update(payments).where(payments.c.id.in_(found)).values(receipt_url="")
        )
        return len(found)

    return Sweep(BATCH, lambda now: _count(payments, is_due(now)), forget)


def _unproven(now: datetime) -> sa.Select[Any]:
    """Return accounts whose address was never proven, and that hold nothing of value."""
    holders = people.holders.c
    return sa.select(holders.account_id).where(
        holders.email_proven_at.is_(None),
        holders.created_at < now - UNPROVEN_KEPT,
        *(
            ~sa.select(table.c.account_id).where(table.c.account_id == holders.account_id).exists()
            for table in _VALUABLE
        ),
    )


_VALUABLE: Final = tuple(
    table
    for table in tables.metadata.sorted_tables
    if any(key.target_fullname == "accounts.id" for key in table.foreign_keys)
)
"""Tables in which a row keeps an account: it was given credit, a key or something else."""


async def _forget_unproven(connection: AsyncConnection, now: datetime) -> int:
    holders, accounts = people.holders.c, tables.accounts.c
    # Locked, holder before account as everywhere: a transaction that proves the address, or gives
    # the account credit, is done before or finds no holder.
    query = _unproven(now).order_by(holders.created_at).limit(ACCOUNTS_BATCH)
    found = (await connection.scalars(query.with_for_update(skip_locked=True))).all()
    locked = sa.select(accounts.id).where(accounts.id.in_(found)).order_by(accounts.id)
    await connection.execute(locked.with_for_update())
    # Again: the first query does not wait for others, and may have missed recent credit.
    still = _unproven(now).where(holders.account_id.in_(found))
    for account_id in (await connection.scalars(still)).all():
        await erase_holder(connection, account_id)
        await erase_mails(connection, account_id)
        await erase_fraud_rows(connection, account_id)
        for rows in _OF_APPS:
            await rows.erase(connection, account_id)
        await connection.execute(sa.delete(tables.accounts).where(accounts.id == account_id))
    return len(found)


def _is_over(now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition for chunks of an export that can no longer be downloaded."""
    exports = people.exports.c
    over = sa.select(exports.id).where(
        sa.or_(exports.state.in_(("expired", "failed")), exports.expires_at <= now)
    )
    return people.export_chunks.c.export_id.in_(over)


def _has_chunks() -> sa.Select[Any]:
    chunks = people.export_chunks.c
    return sa.select(chunks.export_id).where(chunks.export_id == people.exports.c.id)


async def _forget_chunks(connection: AsyncConnection, now: datetime) -> int:
    exports, chunks = people.exports.c, people.export_chunks.c
    await connection.execute(
        sa.update(people.exports)
        .where(exports.state == "ready", exports.expires_at <= now)
        .values(state="expired")
    )
    query = sa.select(chunks.export_id, chunks.number).where(_is_over(now)).limit(CHUNKS_BATCH)
    rows = (await connection.execute(query)).all()
    if rows:
        key = sa.tuple_(chunks.export_id, chunks.number)
        found = key.in_([tuple(row) for row in rows])
        await connection.execute(sa.delete(people.export_chunks).where(found))
    return len(rows)
