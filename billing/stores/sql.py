"""Implements the book of record and the store of call records in SQL.

The book says what an account has, what it was charged and why. Money that comes in is written here
first; money spent arrives as outbox entries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.cdr import ANY_CALL, CallFilter, CallRecord
from billing.clock import Clock, utc_now
from billing.errors import CreditsLostError, MoneyError
from billing.ledger import credit_transfer
from billing.money import LIMIT
from billing.outbox import OutboxBatch, fold
from billing.ports import BookedEvent, BookingGuard, OutboxEntry, PartitionMark, PartitionState
from billing.stores import tables
from billing.stores.booking import book, insert_transfers
from billing.stores.call_rows import matching_newest_first, record_in
from billing.stores.closed_books import names_of
from billing.stores.freezes import FreezeReason, set_freeze
from billing.stores.partition_marks import forget_fork, lock_and_mark, read_marks
from billing.stores.refill import memories_of, read_partition
from database.engine import TIMEOUT_S, Transactions, reading, upsert, writing
from database.errors import StoreUnavailableError

PAGE_ROWS_MAX = 500
"""Rows of one page of call records, and credits of one catch-up of the spend gate."""

GateSequence = Callable[[str], Awaitable[int]]
"""Returns the sequence of the last credit that the spend gate has of an account. May raise
StoreUnavailableError."""


OnEnded = Callable[[sa.Connection, Sequence[tuple[str, str]], datetime], None]
"""Told of calls (call, account) whose end is booked, and when, on the connection of that."""
OnNews = Callable[[AsyncConnection, BookedEvent, datetime], Awaitable[None]]
"""Told of what comes with a credit, and when, on the connection that books it."""


class SqlLedgerStore:
    """`LedgerStore` in SQLite or PostgreSQL."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
        gate_sequence: GateSequence | None = None,
        on_ended: OnEnded | None = None,
        on_news: OnNews | None = None,
    ) -> None:
        """Use a database; `on_ended` and `on_news` run within the transaction that they report.

        Without `gate_sequence` each credit is booked under the next number. A recovery needs that:
        it books again what the book has lost and the gate still has.
        """
        self._engine = engine
        self._timeout_s = timeout_s
        self._transactions = Transactions(engine, timeout_s)
        self._clock = clock
        self._gate_sequence = gate_sequence
        self._on_ended = on_ended
        self._on_news = on_news

    async def add_credit(
        self,
        account_id: str,
        amount_micros: int,
        *,
        reference: str,
        kind: str,
        reason: str = "",
        call_id: str | None = None,
        payment_id: str | None = None,
        news: BookedEvent | None = None,
        guard: BookingGuard | None = None,
    ) -> int | None:
        """Book a credit once per reference; return its sequence, or None for a repeat.

        `news` is reported and the `guard` called within the same transaction.

        Raises what the guard does, and:
            LookupError: no such account.
            ValueError: an unknown kind (see `ledger.CREDIT_SOURCES`), or an amount of zero.
            MoneyError: the balance would not fit the spend gate.
            CreditsLostError: not booked, for the spend gate would take it for one that the book
                has lost, and ignore it.
            StoreUnavailableError: not known to be booked; try again with the same reference.

        """
        # Asked before the account's row is locked, which must not stay locked while Redis is waited
        # for.
        at = self._clock()
        seen = await self._seen_at_gate(account_id)
        async with writing(self._engine, self._timeout_s) as connection:
            account = await _raise_balance(connection, account_id, amount_micros)
            transfer = credit_transfer(
                account_id,
                account.currency,
                amount_micros,
                reference=reference,
                kind=kind,
                reason=reason,
                call_id=call_id,
            )
            sequence = await _insert_credit(
                connection,
                account_id=account_id,
                sequence=account.credit_sequence,
                micros=amount_micros,
                reference=reference,
                kind=kind,
                at=at,
                payment_id=payment_id,
            )
            # Of one whose books are closed no more is left than that it was booked.
            if sequence is None or await _is_closed(connection, reference):
                # Takes back the balance and the sequence that the repeat has raised.
                await connection.rollback()
                return None
            if sequence <= seen:
                raise CreditsLostError
            if payment_id is not None:
                if guard is not None:
                    guard(await _references_of(connection, account_id, payment_id))
                await _move_payment(connection, payment_id, kind, amount_micros)
            await connection.run_sync(insert_transfers, [transfer], at)
            if news is not None and self._on_news is not None:
                await self._on_news(connection, news, at)
        return sequence

    async def _seen_at_gate(self, account_id: str) -> int:
        """Return the sequence of the last credit that the gate has seen.

        Read before the book, it is never ahead of an intact one. 0 while the gate is away, because
        booking a payment does not wait for the gate.
        """
        if self._gate_sequence is None:
            return 0
        try:
            return await self._gate_sequence(account_id)
        except StoreUnavailableError:
            return 0

    async def count_credits(self, account_id: str, kind: str, since: datetime) -> int:
        """Return how many credits of a kind an account was given since then.

        Raises StoreUnavailableError.
        """
        credits = tables.credits.c
        async with reading(self._engine, self._timeout_s) as connection:
            count: int | None = await connection.scalar(
                sa.select(sa.func.count()).where(
                    credits.account_id == account_id, credits.kind == kind, credits.at >= since
                )
            )
        return count or 0

    async def credited_micros(self, reference: str) -> int | None:
        """Return the amount of the credit of this reference; None where it is not booked.

        Raises StoreUnavailableError.
        """
        credits = tables.credits.c
        async with reading(self._engine, self._timeout_s) as connection:
            micros: int | None = await connection.scalar(
                sa.select(credits.micros).where(credits.reference == reference)
            )
        return micros

    async def credits_after(self, account_id: str, sequence: int) -> Sequence[tuple[int, int]]:
        """Return (sequence, micros) of the credits the spend gate has yet to see, oldest first.

        At most `PAGE_ROWS_MAX`; ask again from the last. Raises StoreUnavailableError.
        """
        credits = tables.credits.c
        async with reading(self._engine, self._timeout_s) as connection:
            rows = await connection.execute(
                sa.select(credits.sequence, credits.micros)
                .where(credits.account_id == account_id, credits.sequence > sequence)
                .order_by(credits.sequence)
                .limit(PAGE_ROWS_MAX)
            )
            return [(number, micros) for number, micros in rows]

    async def apply_outbox(self, partition: int, entries: Sequence[OutboxEntry]) -> None:
        """Book one partition's entries, as `apply_outboxes`."""
        await self.apply_outboxes({partition: entries})

    async def apply_outboxes(self, batch: Mapping[int, Sequence[OutboxEntry]]) -> None:
        """Book partitions' entries in one transaction; applying any again changes nothing.

        Raises StoreUnavailableError: not known to be booked; apply them again.
        """
        # Sorted, because `lock_and_mark` locks partitions in ascending order.
        folded = {p: fold(entries) for p, entries in sorted(batch.items()) if entries}
        if not folded:
            return
        changes = dict(chain.from_iterable(one.changes.items() for one in folded.values()))
        assert len(changes) == sum(len(one.changes) for one in folded.values()), (
            "a call's entries are all in its account's partition"
        )
        at = self._clock()

        def work(connection: sa.Connection) -> None:
            lock_and_mark(connection, {p: batch[p] for p in folded}, at)
            ended = book(connection, OutboxBatch(changes), at)
            if ended and self._on_ended is not None:
                self._on_ended(connection, ended, at)
            for partition, one in folded.items():
                if one.rejected:
                    _keep_rejected(connection, partition, one.rejected, at)

        await self._transactions.run(work)

    async def partition_state(self, partition: int, partitions: int) -> PartitionState:
        """Return what the spend gate must hold for a partition. Raises StoreUnavailableError."""
        now = self._clock()

        def work(
            connection: sa.Connection,
        ) -> tuple[PartitionState, Sequence[sa.Row[Any]], Mapping[int, PartitionMark]]:
            state, rows = read_partition(connection, partition, partitions, now)
            return state, rows, read_marks(connection)

        state, rows, marks = await self._transactions.read(work)
        mark = marks.get(partition, PartitionMark())
        # After the transaction, which must not stay open while thousands of rows are converted.
        return replace(state, memories=await memories_of(rows), mark=mark)

    async def marks(self) -> Mapping[int, PartitionMark]:
        """Return how far each partition's outbox is booked. Raises StoreUnavailableError."""
        return await self._transactions.read(read_marks)

    async def forget_fork(self, partition: int, mark: PartitionMark) -> None:
        """Forget what has proven a partition an older copy. Raises StoreUnavailableError."""
        if mark.fork_id:
            async with writing(self._engine, self._timeout_s) as connection:
                await forget_fork(connection, partition, mark.fork_id)

    async def balance(self, account_id: str) -> int:
        """Return the book's available micros, 0 for an account it does not know.

        Raises StoreUnavailableError.
        """
        accounts = tables.accounts.c
        async with reading(self._engine, self._timeout_s) as connection:
            micros: int | None = await connection.scalar(
                sa.select(accounts.balance_micros).where(accounts.id == account_id)
            )
        return micros or 0

    async def freeze(
        self, account_id: str, frozen: bool, reason: FreezeReason = FreezeReason.OPERATOR
    ) -> bool:
        """Freeze an account for a reason or release it; return whether it is frozen from now on.

        A deleted account stays frozen, and one that is frozen for another reason too. The caller
        has to freeze it at the spend gate as well. Raises LookupError: no such account, and
        StoreUnavailableError.
        """
        async with writing(self._engine, self._timeout_s) as connection:
            return await set_freeze(connection, account_id, reason, frozen, self._clock())


class SqlCdrStore:
    """`CdrStore` in SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine, *, timeout_s: float = TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def get(self, account_id: str, call_id: str) -> CallRecord | None:
        """Return one record of this account; None for a call that is forgotten.

        Raises StoreUnavailableError.
        """
        return await self._get(account_id, call_id, tables.calls.c.forgotten_at.is_(None))

    async def get_with_forgotten(self, account_id: str, call_id: str) -> CallRecord | None:
        """Return one record of this account, for the money: of a forgotten call what is left.

        Raises StoreUnavailableError.
        """
        return await self._get(account_id, call_id)

    async def _get(
        self, account_id: str, call_id: str, *conditions: sa.ColumnElement[bool]
    ) -> CallRecord | None:
        if "\0" in call_id:  # PostgreSQL refuses such text with an error
            return None
        calls = tables.calls
        mine = (calls.c.id == call_id, calls.c.account_id == account_id)
        async with reading(self._engine, self._timeout_s) as connection:
            rows = await connection.execute(sa.select(calls).where(*mine, *conditions))
            row = rows.one_or_none()
        return None if row is None else record_in(row)

    async def booked(self, call_ids: Sequence[str]) -> Collection[str]:
        """Return those of at most `PAGE_ROWS_MAX` calls whose beginning and end are booked.

        Raises StoreUnavailableError.
        """
        assert len(call_ids) <= PAGE_ROWS_MAX
        return await self._ended(call_ids, tables.calls.c.opened)

    async def ended(self, call_ids: Sequence[str]) -> Collection[str]:
        """Return those of at most `PAGE_ROWS_MAX` calls whose end is booked.

        Raises StoreUnavailableError.
        """
        assert len(call_ids) <= PAGE_ROWS_MAX
        return await self._ended(call_ids)

    async def _ended(
        self, call_ids: Sequence[str], *also: sa.ColumnElement[bool]
    ) -> Collection[str]:
        calls = tables.calls.c
        query = sa.select(calls.id).where(calls.id.in_(call_ids), calls.closed, *also)
        async with reading(self._engine, self._timeout_s) as connection:
            return frozenset(await connection.scalars(query))

    async def page(
        self,
        account_id: str,
        *,
        limit: int,
        before: str | None = None,
        only: CallFilter = ANY_CALL,
    ) -> Sequence[CallRecord]:
        """Return the newest records that match first, older than the call `before`.

        At most `PAGE_ROWS_MAX`; none when `before` is no call of this account.
        Raises StoreUnavailableError.
        """
        query = matching_newest_first(
            account_id, only, limit=min(limit, PAGE_ROWS_MAX), before=before
        )
        async with reading(self._engine, self._timeout_s) as connection:
            rows = await connection.execute(query)
            return [record_in(row) for row in rows]


async def _raise_balance(
    connection: AsyncConnection, account_id: str, amount_micros: int
) -> sa.Row[Any]:
    """Add to an account and take its next credit sequence; its row is locked from here on."""
    accounts = tables.accounts
    rows = await connection.execute(
        sa.update(accounts)
        .where(accounts.c.id == account_id)
        .values(
            balance_micros=accounts.c.balance_micros + amount_micros,
            # Counted by the UPDATE itself: two credits at once wait for each other and get two
            # numbers.
            credit_sequence=accounts.c.credit_sequence + 1,
        )
        .returning(accounts.c.currency, accounts.c.balance_micros, accounts.c.credit_sequence)
    )
    account = rows.one_or_none()
    if account is None:
        raise LookupError("no such account")
    if abs(account.balance_micros) > LIMIT:
        raise MoneyError("the balance would not fit the spend gate")
    return account


async def _is_closed(connection: AsyncConnection, reference: str) -> bool:
    closed = tables.closed_credits.c
    query = sa.select(closed.sequence).where(closed.reference.in_(names_of(reference)))
    return await connection.scalar(query) is not None


async def _insert_credit(connection: AsyncConnection, **values: Any) -> int | None:
    """Insert a credit; return its sequence, or None where its reference is there already.

    The unique reference decides whether it is a repeat: a look beforehand could miss a webhook that
    is handled at the same moment.
    """
    inserted = await connection.execute(
        upsert(connection, tables.credits)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["reference"])
        .returning(tables.credits.c.sequence)
    )
    sequence: int | None = inserted.scalar()
    return sequence


async def _references_of(
    connection: AsyncConnection, account_id: str, payment_id: str
) -> Collection[str]:
    """Return the references of a payment's credits; the account's row is locked by now."""
    credits = tables.credits.c
    found = await connection.scalars(
        sa.select(credits.reference).where(
            # Uses the account's index.
            credits.account_id == account_id,
            credits.payment_id == payment_id,
        )
    )
    return found.all()


async def _move_payment(
    connection: AsyncConnection, payment_id: str, kind: str, micros: int
) -> None:
    """Let a payment say what has been taken back of it, with the entry that takes it."""
    taken = {
        "refund": tables.payments.c.refunded_micros,
        # NULL, where it was never noted, stays so.
        "dispute": tables.payments.c.disputed_micros,
    }.get(kind)
    if taken is not None:
        await connection.execute(
            sa.update(tables.payments)
            .where(tables.payments.c.id == payment_id)
            .values({taken: taken - micros})
        )


def _keep_rejected(
    connection: sa.Connection, partition: int, entries: Sequence[OutboxEntry], at: datetime
) -> None:
    connection.execute(
        # An entry that could not be trimmed is read and rejected again.
        upsert(connection, tables.rejected_entries).on_conflict_do_nothing(),
        [
            {
                "partition": partition,
                "entry_id": entry.entry_id,
                "kind": ascii(entry.kind),
                "fields": msgspec.json.encode(
                    # Latin-1 gives each byte a character, so that any bytes can be kept in JSON and
                    # restored.
                    {name: value.decode("latin-1") for name, value in entry.fields.items()}
                ).decode(),
                "at": at,
            }
            for entry in entries
        ],
    )
