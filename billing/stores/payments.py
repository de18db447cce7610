"""Stores payments and the saved cards of accounts in SQL.

Records the state of each payment and what may be charged automatically; the money itself is in the
ledger. SQLite stores values of any type in any column. The audit of the book (`column_audit`) names
a row that cannot be read; queries here leave it out, so that the others can still be compared.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.clock import Clock, utc_now
from billing.payments import (
    AUTOMATIC,
    BY_PAGE,
    PAID_STATES,
    TAKEN_BACK,
    AutoHistory,
    AutoRefusal,
    BookedCredit,
    ChargeRequest,
    Decide,
    Payment,
    PaymentProfile,
    PaymentState,
    WriteRequest,
)
from billing.payments import advance as further
from billing.stores import saved_cards, tables
from billing.stores.closed_books import OF_PAYMENTS, names_of
from billing.stores.column_audit import is_readable
from billing.stores.pages import newest_first
from database.engine import TIMEOUT_S, reading, upsert, writing


def credits_of(dialect: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the query of the credits of payments, in the order of `BookedCredit`."""
    return (
        sa.select(
            _credits.reference,
            _credits.account_id,
            _credits.micros,
            tables.accounts.c.currency,
            _credits.kind,
            _credits.payment_id,
            _credits.at,
        )
        .join_from(tables.credits, tables.accounts)
        .where(
            is_readable(dialect, tables.credits), is_readable(dialect, tables.accounts), *conditions
        )
    )


def payments_of(dialect: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the query of payments."""
    is_known = _payments.c.state.in_([state.value for state in PaymentState])
    return sa.select(tables.payments).where(
        is_readable(dialect, tables.payments), is_known, *conditions
    )


def unreadable_references(dialect: str, names: Collection[str]) -> sa.Select[Any]:
    """Return the query of those references whose credits cannot be read, but for their names."""
    return (
        sa.select(_credits.reference)
        .join_from(tables.credits, tables.accounts)
        .where(
            _credits.reference.in_(names),
            sa.or_(
                sa.not_(is_readable(dialect, tables.credits)),
                sa.not_(is_readable(dialect, tables.accounts)),
            ),
        )
    )


PAGE_ROWS_MAX = 200

_payments = tables.payments
_credits = tables.credits.c
OnProfile = Callable[
    [AsyncConnection, PaymentProfile, PaymentProfile, datetime, str], Awaitable[None]
]
"""Receives the profile before and after a change, the time, and the API key that asked for it
(empty for none), on the connection of the change."""
OnPaid = Callable[[AsyncConnection, Payment, datetime], Awaitable[None]]
"""Receives each payment that was made, once, and the time, on the connection that records it."""


class SqlPaymentStore:
    """Payments in SQLite or PostgreSQL. Every method raises StoreUnavailableError."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
        on_profile: OnProfile | None = None,
        on_paid: OnPaid | None = None,
    ) -> None:
        """Use a database; the callbacks are awaited within the transaction that they report."""
        self._engine = engine
        self._timeout_s = timeout_s
        self._clock = clock
        self._on_profile = on_profile
        self._on_paid = on_paid

    async def create(
        self, payment_id: str, account_id: str, kind: str, micros: int, currency: str
    ) -> Payment:
        """Create a payment, or return the one that has this id, unchanged.

        Raises LookupError if there is no such account.
        """
        async with writing(self._engine, self._timeout_s) as connection:
            await _require_account(connection, account_id)
            await self._insert(
                connection,
                payment_id,
                account_id=account_id,
                kind=kind,
                micros=micros,
                currency=currency,
            )
            return await _get(connection, payment_id)

    async def create_checkout(
        self, payment_id: str, account_id: str, micros: int, currency: str, *, since: datetime
    ) -> Payment:
        """Create a checkout, or return an open one of this amount that was begun since `since`.

        Two requests at once get the same one. Raises LookupError if there is no such account.
        """
        columns = _payments.c
        async with writing(self._engine, self._timeout_s) as connection:
            # The account's row makes the second of two clicks wait for the first.
            await _lock_account(connection, account_id)
            rows = await connection.execute(
                sa.select(_payments)
                .where(
                    columns.account_id == account_id,
                    columns.kind == BY_PAGE,
                    columns.micros == micros,
                    columns.created_at >= since,
                    columns.state.in_((PaymentState.CREATED.value, PaymentState.OPEN.value)),
                )
                .order_by(columns.created_at.desc())
                .limit(1)
            )
            row = rows.one_or_none()
            if row is not None:
                return _payment(row)
            await self._insert(
                connection,
                payment_id,
                account_id=account_id,
                kind=BY_PAGE,
                micros=micros,
                currency=currency,
            )
            return await _get(connection, payment_id)

    async def begin_charge(
        self,
        account_id: str,
        payment_id: str,
        decide: Decide,
        write: WriteRequest,
        *,
        kind: str = AUTOMATIC,
    ) -> Payment | AutoRefusal:
        """Create a charge of the saved card if `decide` says so, or return the one of this id.

        At most one is ever in flight: `decide` sees a history that no other node can add to before
        this returns. The request that `write` gives is stored with it.
        """
        async with writing(self._engine, self._timeout_s) as connection:
            await _lock_account(connection, account_id)
            profile = await saved_cards.find_profile(connection, account_id)
            # A repeated tap comes with the id of the first: it must get that charge's outcome, even
            # if a second one would be refused by now.
            known = (
                await connection.execute(sa.select(_payments).where(_payments.c.id == payment_id))
            ).one_or_none()
            if known is not None:
                return _payment(known)
            history = await saved_cards.history(connection, account_id, self._clock())
            amount = decide(profile, history)
            if isinstance(amount, AutoRefusal):
                return amount
            await self._insert(
                connection,
                payment_id,
                account_id=account_id,
                kind=kind,
                micros=amount,
                currency=profile.currency,
            )
            begun = await _get(connection, payment_id)
            await saved_cards.keep_request(connection, begun, write(begun, profile))
            return begun

    async def charge_request(self, payment_id: str) -> ChargeRequest | None:
        """Return the request of a charge that has no outcome yet."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await saved_cards.find_request(connection, payment_id)

    async def note_try(self, payment_id: str) -> None:
        """Note that the request of a charge is sent now."""
        async with writing(self._engine, self._timeout_s) as connection:
            await saved_cards.note_try(connection, payment_id, self._clock())

    async def given_up(self, since: datetime, limit: int) -> Sequence[Payment]:
        """Return charges begun since then that failed without the service's word, oldest first."""
        async with reading(self._engine, self._timeout_s) as connection:
            rows = await connection.execute(saved_cards.given_up(since).limit(limit))
            return [_payment(row) for row in rows]

    async def _insert(
        self,
        connection: AsyncConnection,
        payment_id: str,
        **columns: str | int,
    ) -> None:
        now = self._clock()
        await connection.execute(
            upsert(connection, _payments)
            .values(
                id=payment_id,
                **columns,
                state=PaymentState.CREATED.value,
                created_at=now,
                updated_at=now,
            )
            # Another node may have created the payment of this id meanwhile: then that one is
            # returned.
            .on_conflict_do_nothing(index_elements=["id"])
        )

    async def record(
        self,
        payment_id: str,
        seen: PaymentState,
        *,
        checkout_id: str | None = None,
        payment_intent_id: str | None = None,
        receipt_url: str = "",
        failure: str = "",
    ) -> Payment:
        """Record what the payment service reports; a late report takes nothing back.

        What was refunded and disputed follows from the entries that the book has of it
        (`SqlLedgerStore.add_credit`), not from a report. Raises LookupError if there is no such
        payment.
        """
        async with writing(self._engine, self._timeout_s) as connection:
            # Written before it is read: the row is locked, so no other report comes in between.
            now = self._clock()
            await connection.execute(
                sa.update(_payments).where(_payments.c.id == payment_id).values(updated_at=now)
            )
            known = await _get(connection, payment_id)
            if receipt_url and await _is_deleted(connection, known.account_id):
                # Its page names the person, who is forgotten here.
                receipt_url = ""
            await connection.execute(
                sa.update(_payments)
                .where(_payments.c.id == payment_id)
                .values(
                    # Reports come in any order and from several nodes: a state only moves on, and
                    # ids are set once.
                    state=further(known.state, seen).value,
                    checkout_id=known.checkout_id or checkout_id,
                    payment_intent_id=known.payment_intent_id or payment_intent_id,
                    receipt_url=receipt_url or known.receipt_url,
                    failure=failure or known.failure,
                )
            )
            recorded = await _get(connection, payment_id)
            await saved_cards.forget_request(connection, recorded)
            is_new = known.state not in PAID_STATES and recorded.state in PAID_STATES
            if is_new and self._on_paid is not None:
                await self._on_paid(connection, recorded, now)
            return recorded

    async def find(self, payment_id: str) -> Payment | None:
        """Return a payment."""
        if "\0" in payment_id:  # PostgreSQL refuses such text with an error
            return None
        return await self._find(_payments.c.id == payment_id)

    async def find_by_intent(self, payment_intent_id: str) -> Payment | None:
        """Return the payment that a payment intent belongs to."""
        return await self._find(_payments.c.payment_intent_id == payment_intent_id)

    async def _find(self, condition: sa.ColumnElement[bool]) -> Payment | None:
        async with reading(self._engine, self._timeout_s) as connection:
            row = (await connection.execute(sa.select(_payments).where(condition))).one_or_none()
        return None if row is None else _payment(row)

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None
    ) -> Sequence[Payment]:
        """Return an account's newest payments first, older than the payment `before`."""
        query = newest_first(_payments, account_id, limit=min(limit, PAGE_ROWS_MAX), before=before)
        async with reading(self._engine, self._timeout_s) as connection:
            return [_payment(row) for row in await connection.execute(query)]

    async def pending(self, before: datetime, limit: int) -> Sequence[Payment]:
        """Return payments whose outcome is open and that were last looked at before `before`.

        Those that have waited longest come first, so that none is starved.
        """
        query = (
            sa.select(_payments)
            .where(
                _payments.c.state.in_(saved_cards.PENDING_STATES),
                _payments.c.updated_at < before,
            )
            # Looking at a payment updates it (`record`), which sends it to the end of this order.
            .order_by(_payments.c.updated_at)
            .limit(limit)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            return [_payment(row) for row in await connection.execute(query)]

    async def is_booked(self, reference: str) -> bool:
        """Whether a credit of this reference is in the book, or was and is closed."""
        tried = (tables.credits, tables.closed_credits)
        names = names_of(reference)
        query = sa.union_all(
            *(sa.select(each.c.reference).where(each.c.reference.in_(names)) for each in tried)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            return await connection.scalar(query) is not None

    async def closed(self, references: Collection[str]) -> Collection[str]:
        """Return those whose credits were booked and are closed; a few hundred at a time.

        Those that cannot be read are among them: they were booked, and say nothing more.
        """
        closed = tables.closed_credits.c.reference
        names = {name: reference for reference in references for name in names_of(reference)}
        async with reading(self._engine, self._timeout_s) as connection:
            unreadable = unreadable_references(connection.dialect.name, references)
            found = set(await connection.scalars(unreadable))
            query = sa.select(closed).where(closed.in_(names))
            return found.union(names[name] for name in await connection.scalars(query))

    async def booked(self, references: Collection[str]) -> Mapping[str, BookedCredit]:
        """Return the credits of these references, by reference; a few hundred at a time."""
        found = await self._credits(_credits.reference.in_(references))
        return {credit.reference: credit for credit in found}

    async def entries(self, payment: Payment) -> Sequence[BookedCredit]:
        """Return all credits that name this payment."""
        prefix = f"refund:{payment.id}:"
        return await self._credits(
            # Uses the account's index. Entries under another account are found by the book's audit.
            _credits.account_id == payment.account_id,
            (_credits.payment_id == payment.id)
            | (sa.func.substr(_credits.reference, 1, len(prefix)) == prefix),
        )

    async def credited(
        self, since: datetime, after: tuple[str, int], limit: int
    ) -> tuple[Sequence[BookedCredit], tuple[str, int] | None]:
        """Return a page of the credits of payments booked since `since`, ordered by account.

        The second value says where the next page begins, None after the last page; the first page
        begins after ("", 0).
        """
        key = sa.tuple_(_credits.account_id, _credits.sequence)
        these = (_credits.at >= since, _credits.kind.in_(OF_PAYMENTS), key > after)
        async with reading(self._engine, self._timeout_s) as connection:
            query = (
                credits_of(connection.dialect.name, *these)
                .add_columns(_credits.sequence)
                .order_by(_credits.account_id, _credits.sequence)
                .limit(limit)
            )
            rows = (await connection.execute(query)).all()
        found = [BookedCredit(*row[:-1]) for row in rows]
        return found, (rows[-1].account_id, rows[-1].sequence) if len(rows) == limit else None

    async def _credits(self, *conditions: sa.ColumnElement[bool]) -> Sequence[BookedCredit]:
        async with reading(self._engine, self._timeout_s) as connection:
            query = credits_of(connection.dialect.name, *conditions)
            rows = await connection.execute(query)
            return [BookedCredit(*row) for row in rows]

    async def find_all(
        self,
        payment_ids: Collection[str],
        checkout_ids: Collection[str] = (),
        intent_ids: Collection[str] = (),
    ) -> Mapping[str, Payment]:
        """Return the payments of these ids, pages and intents, by id; a few hundred at a time.

        One that cannot be read is left out: the audit of the book reports it.
        """
        these = (
            _payments.c.id.in_(payment_ids)
            | _payments.c.checkout_id.in_(checkout_ids)
            | _payments.c.payment_intent_id.in_(intent_ids)
        )
        async with reading(self._engine, self._timeout_s) as connection:
            query = payments_of(connection.dialect.name, these)
            return {row.id: _payment(row) for row in await connection.execute(query)}

    async def is_disputed(self, account_id: str, *, besides: str) -> bool:
        """Whether a payment of the account, other than this one, is disputed or was lost."""
        query = sa.select(_payments.c.id).where(
            _payments.c.account_id == account_id,
            _payments.c.id != besides,
            _payments.c.state.in_([state.value for state in TAKEN_BACK]),
        )
        async with reading(self._engine, self._timeout_s) as connection:
            return await connection.scalar(query.limit(1)) is not None

    async def profile(self, account_id: str) -> PaymentProfile:
        """Return an account's profile, a blank one if nothing was ever saved.

        Raises LookupError if there is no such account.
        """
        async with reading(self._engine, self._timeout_s) as connection:
            return await saved_cards.find_profile(connection, account_id)

    async def save_card(
        self, account_id: str, customer_id: str, payment_method_id: str, email: str = ""
    ) -> bool:
        """Save the card that may be charged without asking; return False for a deleted account."""
        values = {"customer_id": customer_id, "payment_method_id": payment_method_id}
        profile = await self._set_profile(account_id, values | ({"email": email} if email else {}))
        return not profile.deleted

    async def forget_card(self, account_id: str, reason: str) -> None:
        """Forget the card and its customer, and switch automatic top-ups off."""
        await self._set_profile(
            account_id,
            {
                "customer_id": None,
                "payment_method_id": None,
                "auto_enabled": False,
                "auto_off_reason": reason,
            },
        )

    async def set_auto(
        self,
        account_id: str,
        *,
        enabled: bool,
        threshold_micros: int,
        amount_micros: int,
        key_id: str = "",
    ) -> PaymentProfile:
        """Set automatic top-ups as the person wants them; forget why they were off.

        A frozen account's are not switched on: the profile that is returned says `frozen`.
        """
        return await self._set_profile(
            account_id,
            {
                "auto_enabled": enabled,
                "auto_threshold_micros": threshold_micros,
                "auto_amount_micros": amount_micros,
                "auto_off_reason": "",
            },
            even_frozen=not enabled,
            key_id=key_id,
        )

    async def switch_auto_off(self, account_id: str, reason: str) -> None:
        """Switch automatic top-ups off."""
        await self._set_profile(account_id, {"auto_enabled": False, "auto_off_reason": reason})

    async def _set_profile(
        self, account_id: str, values: dict[str, Any], *, even_frozen: bool = True, key_id: str = ""
    ) -> PaymentProfile:
        async with writing(self._engine, self._timeout_s) as connection:
            # A deletion of the account comes before or after this: nothing erased is saved again.
            await _lock_account(connection, account_id)
            profile = await saved_cards.find_profile(connection, account_id)
            # A freeze locks the account as well: what a thief asks for at that moment waits for it.
            if profile.deleted or (profile.frozen and not even_frozen):
                return profile
            await connection.execute(
                upsert(connection, tables.payment_profiles)
                .values(account_id=account_id, **values)
                .on_conflict_do_update(index_elements=["account_id"], set_=values)
            )
            changed = await saved_cards.find_profile(connection, account_id)
            if self._on_profile is not None:
                await self._on_profile(connection, profile, changed, self._clock(), key_id)
            return changed

    async def history(self, account_id: str) -> AutoHistory:
        """Return the charges of an account's saved card within the last day."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await saved_cards.history(connection, account_id, self._clock())


async def _require_account(connection: AsyncConnection, account_id: str) -> None:
    accounts = tables.accounts.c
    if await connection.scalar(sa.select(accounts.id).where(accounts.id == account_id)) is None:
        raise LookupError("no such account")


async def _lock_account(connection: AsyncConnection, account_id: str) -> None:
    """Make all others who lock this account wait until the transaction ends."""
    accounts = tables.accounts.c
    # SQLite ignores FOR UPDATE: there a writing transaction excludes all others anyway.
    query = sa.select(accounts.id).where(accounts.id == account_id).with_for_update()
    if await connection.scalar(query) is None:
        raise LookupError("no such account")


async def _is_deleted(connection: AsyncConnection, account_id: str) -> bool:
    accounts = tables.accounts.c
    query = sa.select(accounts.deleted_at.is_not(None)).where(accounts.id == account_id)
    return bool(await connection.scalar(query))


async def _get(connection: AsyncConnection, payment_id: str) -> Payment:
    rows = await connection.execute(sa.select(_payments).where(_payments.c.id == payment_id))
    row = rows.one_or_none()
    if row is None:
        raise LookupError("no such payment")
    return _payment(row)


def _payment(row: sa.Row[Any]) -> Payment:
    return Payment(**{**row._mapping, "state": PaymentState(row.state)})
