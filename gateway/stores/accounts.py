"""Stores accounts and their API keys in SQL; of a key only its hash is stored.

Amounts belong to `billing`: an account made at the start gets its credit through the book of record
(`ensure_account`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act, Actor
from accounts.stores import audit_log
from accounts.stores.tables import holders
from billing.clock import Clock, utc_now
from billing.money import format_money
from billing.ports import LedgerStore
from billing.spend_limits import UNLIMITED, SpendLimits
from billing.stores import tables
from billing.stores.budgets import CALL_LIMIT, limit_columns, limits_of
from billing.stores.freezes import is_used
from database.columns import UtcDateTime
from database.engine import TIMEOUT_S, reading, upsert, writing
from gateway import scopes as scope_names
from gateway.operators import NODES, Order
from gateway.scopes import LEAST, Scope

KEY_ID_CHARACTERS = 16
"""Leading part of the hash that identifies a key: 64 bits, enough to tell keys apart."""

CAP_KNOWN_AFTER = timedelta(seconds=60)
"""Delay until every node knows a new cap: several times as long as nodes cache a key."""

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class AccountRow:
    """What the gateway needs of an account to admit a call."""

    id: str
    currency: str
    """ISO 4217."""
    frozen: bool
    created_at: datetime
    limits: SpendLimits = UNLIMITED
    """Those of the account, combined with those of the key it was found by."""
    deleted_at: datetime | None = None
    """None unless the account was deleted."""
    key_id: str = ""
    """Id of the key the account was found by; empty if it was found otherwise."""
    scopes: frozenset[Scope] = frozenset()
    """What the key may do."""
    key_expires_at: datetime | None = None
    """None for never."""
    keeps_quality: bool = True
    """Whether sound quality figures of its calls are stored; False once its holder objects."""
    has_holder: bool = False
    """Whether it belongs to a person who signed up."""
    is_unproven: bool = False
    """Whether its holder's address is unproven: no known person is responsible for its keys."""
    is_locked: bool = False
    """Whether its holder is locked out: none of its keys works meanwhile."""
    is_restricted: bool = False
    """Whether it is frozen because its holder has restricted the use of their data (GDPR)."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key as its account holder sees it."""

    id: str
    label: str
    created_at: datetime
    revoked_at: datetime | None
    day_cap_micros: int | None
    scopes: frozenset[Scope]
    expires_at: datetime | None
    """None for never."""


async def _ignore_change() -> None:
    """Do nothing: no process caches keys."""


class SqlAccountStore:
    """Accounts and API keys in SQLite or PostgreSQL. Every method is idempotent.

    Given an operator's `order`, a change writes its line in the audit log in the same transaction.
    `on_change` is awaited after each committed change of what a key may do. If it raises
    StoreUnavailableError, the change is kept, and repeating the operation calls it again.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
        on_change: Callable[[], Awaitable[None]] = _ignore_change,
    ) -> None:
        self._engine = engine
        self._on_change = on_change
        self._timeout_s = timeout_s
        self._clock = clock

    async def create_account(
        self, account_id: str, currency: str, order: Order | None = None
    ) -> bool:
        """Create an account without credit; return False, changing nothing, if it exists.

        Raises ValueError for an empty or reserved id or a currency that is not an ISO 4217 code,
        and StoreUnavailableError.
        """
        if account_id in {"", NODES} or not _CURRENCY.fullmatch(currency):
            raise ValueError("an account needs an id and a currency")
        async with writing(self._engine, self._timeout_s) as connection:
            created = await connection.execute(
                upsert(connection, tables.accounts)
                .values(tables.new_account(account_id, currency, self._clock()))
                .on_conflict_do_nothing()
                .returning(tables.accounts.c.id)
            )
            if created.scalar() is None:
                return False
            await self._record(connection, account_id, Act.ACCOUNT_MADE, order)
            return True

    async def account(self, account_id: str) -> AccountRow | None:
        """Return an account. Raises StoreUnavailableError."""
        return await self._find(_ACCOUNT.where(tables.accounts.c.id == account_id))

    async def account_by_key_hash(self, key_hash: str) -> AccountRow | None:
        """Return the account whose key has this SHA-256; None for unknown and revoked keys.

        Raises StoreUnavailableError.
        """
        return await self._find(_KEYED.where(tables.api_keys.c.key_hash == key_hash))

    async def account_by_key_id(self, key_id: str) -> AccountRow | None:
        """Return the account of the key with this id. Raises StoreUnavailableError."""
        return await self._find(_KEYED.where(tables.api_keys.c.id == key_id))

    async def add_api_key(
        self,
        account_id: str,
        key_hash: str,
        label: str,
        *,
        scopes: Collection[Scope] = LEAST,
        expires_at: datetime | None = None,
        order: Order | None = None,
    ) -> str:
        """Add a key, by its SHA-256 in hexadecimal, to an account; return the key's id.

        A known key is left as it is: its account, label and scopes stay, and a revoked one stays
        revoked.

        Raises:
            ValueError: Not a SHA-256 in lower-case hexadecimal, or scopes that no key may join.
            LookupError: No such account, or it was deleted.
            StoreUnavailableError: Perhaps not added; try again.

        """
        if not _SHA256_HEX.fullmatch(key_hash):
            raise ValueError("not a SHA-256 in hexadecimal")
        _require_apart(scopes)
        key_id = key_hash[:KEY_ID_CHARACTERS]
        async with writing(self._engine, self._timeout_s) as connection:
            await require_account(connection, account_id)
            added = await connection.execute(
                upsert(connection, tables.api_keys)
                .values(
                    id=key_id,
                    key_hash=key_hash,
                    account_id=account_id,
                    label=label,
                    created_at=self._clock(),
                    scopes=scope_names.to_text(scopes),
                    expires_at=expires_at,
                )
                # No column named: of two concurrent inserts, either constraint may fire first.
                .on_conflict_do_nothing()
                .returning(tables.api_keys.c.id)
            )
            if added.scalar() is not None:
                await self._record(connection, account_id, Act.KEY_MADE, order, key_id)
        return key_id

    async def revoke_api_key(
        self, account_id: str, key_id: str, order: Order | None = None
    ) -> None:
        """Revoke one of an account's keys. Raises StoreUnavailableError."""
        keys = tables.api_keys
        async with writing(self._engine, self._timeout_s) as connection:
            revoked = await connection.execute(
                sa.update(keys)
                .where(
                    keys.c.id == key_id,
                    keys.c.account_id == account_id,
                    # A repeat keeps the time of the first.
                    keys.c.revoked_at.is_(None),
                )
                .values(revoked_at=self._clock())
                .returning(keys.c.id)
            )
            if revoked.scalar() is not None:
                await self._record(connection, account_id, Act.KEY_REVOKED, order, key_id)
        # Even if nothing changed: the first attempt may have failed at exactly this step.
        await self._on_change()

    async def keys(self, account_id: str) -> Sequence[KeyRow]:
        """Return an account's keys, oldest first. Raises StoreUnavailableError."""
        keys = tables.api_keys.c
        async with reading(self._engine, self._timeout_s) as connection:
            rows = await connection.execute(
                sa.select(
                    keys.id,
                    keys.label,
                    keys.created_at,
                    keys.revoked_at,
                    keys.day_cap_micros,
                    keys.scopes,
                    keys.expires_at,
                )
                .where(keys.account_id == account_id)
                .order_by(keys.created_at, keys.id)
            )
            return [
                KeyRow(*row[:5], scope_names.from_text(row.scopes), row.expires_at) for row in rows
            ]

    async def set_key_cap(self, account_id: str, key_id: str, day_cap_micros: int | None) -> None:
        """Limit what the calls of a key may cost in a day; None removes the limit.

        Raises LookupError if the account has no such key, and StoreUnavailableError.
        """
        keys = tables.api_keys.c
        await self._change_key(
            account_id,
            key_id,
            None,
            day_cap_micros=day_cap_micros,
            caps_counted_from=_counted_from(
                keys.day_cap_micros.is_(None), keys.caps_counted_from, self._clock()
            ),
        )

    async def set_key_scopes(
        self,
        account_id: str,
        key_id: str,
        scopes: Collection[Scope],
        order: Order | None = None,
    ) -> None:
        """Replace a key's scopes.

        Raises LookupError if the account has no such key, ValueError for scopes that no key may
        join, and StoreUnavailableError.
        """
        _require_apart(scopes)
        await self._change_key(account_id, key_id, order, scopes=scope_names.to_text(scopes))

    async def set_key_expiry(
        self,
        account_id: str,
        key_id: str,
        expires_at: datetime | None,
        order: Order | None = None,
    ) -> None:
        """Set when a key expires; None for never.

        Raises LookupError if the account has no such key, and StoreUnavailableError.
        """
        await self._change_key(account_id, key_id, order, expires_at=expires_at)

    async def _change_key(
        self, account_id: str, key_id: str, order: Order | None, **values: Any
    ) -> None:
        keys = tables.api_keys
        async with writing(self._engine, self._timeout_s) as connection:
            changed = await connection.execute(
                sa.update(keys)
                .where(keys.c.id == key_id, keys.c.account_id == account_id)
                .values(values)
                .returning(keys.c.id)
            )
            if changed.scalar() is None:
                raise LookupError("no such key")
            await self._record(connection, account_id, Act.KEY_CHANGED, order, key_id)
        # After the commit: before it, a node could read the old row and then cache it.
        await self._on_change()

    async def set_caps(
        self, account_id: str, changes: Mapping[str, int | None], order: Order | None = None
    ) -> dict[str, int | None]:
        """Set some of an account's spend caps; None removes one. Return all of them.

        Args:
            account_id: The account.
            changes: `call`, `day` or `month` -> micros.
            order: The order of the operator who sets them.

        Raises LookupError if there is no such account, and StoreUnavailableError.

        """
        accounts = tables.accounts.c
        columns = {
            "call": accounts.call_cap_micros,
            "day": accounts.day_cap_micros,
            "month": accounts.month_cap_micros,
        }
        async with writing(self._engine, self._timeout_s) as connection:
            if changes:
                values: dict[str, Any] = {
                    columns[name].name: micros for name, micros in changes.items()
                }
                # Calls that began before a cap was known are not in its counter, and the audit has
                # to allow for that. Raising or lowering a cap keeps its counter; setting a first
                # one starts it.
                begins = [
                    columns[n].is_(None) for n in ("day", "month") if changes.get(n) is not None
                ]
                if begins:
                    values["caps_counted_from"] = _counted_from(
                        sa.or_(*begins), accounts.caps_counted_from, self._clock()
                    )
                await connection.execute(
                    sa.update(tables.accounts).where(accounts.id == account_id).values(values)
                )
            rows = await connection.execute(
                sa.select(accounts.currency, *columns.values()).where(accounts.id == account_id)
            )
            row = rows.one_or_none()
            if row is None:
                raise LookupError("no such account")
            caps = dict(zip(columns, row[1:], strict=True))
            if changes:
                said = ", ".join(f"{name} {_shown(caps[name], row.currency)}" for name in caps)
                await self._record(connection, account_id, Act.LIMITS_SET, order, said)
        if changes:
            await self._on_change()
        return caps

    async def set_email(self, account_id: str, email: str, order: Order | None = None) -> None:
        """Store the account holder's address for notices; empty for none.

        Raises LookupError: no such account, or it was deleted; StoreUnavailableError.
        """
        accounts = tables.accounts
        async with writing(self._engine, self._timeout_s) as connection:
            await require_account(connection, account_id)
            await connection.execute(
                sa.update(accounts).where(accounts.c.id == account_id).values(email=email)
            )
            await self._record(connection, account_id, Act.NOTICE_ADDRESS_SET, order)

    async def mark_deleted(self, account_id: str) -> None:
        """Freeze an account for good and revoke its keys, without erasing anything yet.

        Raises LookupError: no such account, and StoreUnavailableError.
        """
        async with writing(self._engine, self._timeout_s) as connection:
            await close(connection, account_id, self._clock())
        await self._on_change()

    async def keys_changed(self) -> None:
        """Make every process drop the keys it has cached. Raises StoreUnavailableError."""
        await self._on_change()

    async def _record(
        self,
        connection: AsyncConnection,
        account_id: str,
        act: Act,
        order: Order | None,
        said: str = "",
    ) -> None:
        """Write an operator's act into the audit log, in the transaction that does it."""
        if order is not None:
            await audit_log.record(
                connection,
                account_id,
                act,
                self._clock(),
                Actor.OPERATOR,
                reason=f"{said}: {order.reason}" if said else order.reason,
                operator=order.operator,
            )

    async def _find(self, query: sa.Select[*tuple[Any, ...]]) -> AccountRow | None:
        async with reading(self._engine, self._timeout_s) as connection:
            found = (await connection.execute(query)).mappings().one_or_none()
        if found is None:
            return None
        # One query has no key in it: the one that finds an account by its own id.
        key_id = found.get("key_id", "")
        return AccountRow(
            id=found["id"],
            currency=found["currency"],
            frozen=found["frozen"],
            created_at=found["created_at"],
            limits=limits_of(found, account=found["id"], key=key_id),
            deleted_at=found["deleted_at"],
            key_id=key_id,
            scopes=scope_names.from_text(found.get("scopes", "")),
            key_expires_at=found.get("key_expires_at"),
            keeps_quality=found["keeps_quality"],
            has_holder=found["has_holder"],
            is_unproven=found["is_unproven"],
            is_locked=found["is_locked"],
            is_restricted=found["is_restricted"],
        )


async def close(connection: AsyncConnection, account_id: str, at: datetime) -> bool:
    """Freeze an account for good and revoke its keys; False if it was marked deleted before.

    Runs on the caller's connection; once that has committed, every process must drop the keys it
    has cached. Raises LookupError: no such account.
    """
    accounts, keys = tables.accounts, tables.api_keys
    mine = accounts.c.id == account_id
    marked = await connection.execute(
        sa.update(accounts)
        # A deletion may be interrupted and repeated: the first time is the one that counts.
        .where(mine, accounts.c.deleted_at.is_(None))
        .values(deleted_at=at)
        .returning(accounts.c.id)
    )
    is_first = marked.scalar() is not None
    frozen = await connection.execute(
        sa.update(accounts).where(mine).values(frozen=True).returning(accounts.c.id)
    )
    if frozen.scalar() is None:
        raise LookupError("no such account")
    await connection.execute(
        sa.update(keys)
        .where(keys.c.account_id == account_id, keys.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )
    return is_first


def _shown(cap_micros: int | None, currency: str) -> str:
    return "no limit" if cap_micros is None else format_money(cap_micros, currency)


def _counted_from(
    begins: sa.ColumnElement[bool], known: sa.ColumnElement[datetime], now: datetime
) -> sa.Case[datetime]:
    """Return from when calls count towards a cap: once all nodes know it."""
    # Nodes cache keys for a while, and place calls under the old limits until then.
    soon = sa.literal(now + CAP_KNOWN_AFTER, UtcDateTime)
    return sa.case((begins, soon), else_=known)


async def ensure_account(
    accounts: SqlAccountStore,
    ledger: LedgerStore,
    *,
    account_id: str,
    currency: str,
    key_hash: str,
    key_label: str,
    key_scopes: Collection[Scope],
    credit_micros: int,
    credit_reference: str,
) -> None:
    """Make sure that an account exists, with a key and an initial credit; idempotent.

    Raises what `add_api_key` and `add_credit` raise.
    """
    # Each step does nothing if it was done before, so an interrupted start can simply be repeated.
    await accounts.create_account(account_id, currency)
    await accounts.add_api_key(account_id, key_hash, key_label, scopes=key_scopes)
    await ledger.add_credit(account_id, credit_micros, reference=credit_reference, kind="grant")


def _require_apart(scopes: Collection[Scope]) -> None:
    if not scope_names.are_apart(scopes):
        raise ValueError("a key of scope admin or embed has no other scope")


async def require_account(connection: AsyncConnection, account_id: str) -> None:
    """Lock an account within the caller's transaction. Raises LookupError: none, or deleted."""
    accounts = tables.accounts.c
    found = sa.select(accounts.id).where(accounts.id == account_id, accounts.deleted_at.is_(None))
    # Locked, so that a concurrent deletion runs entirely before or after.
    if await connection.scalar(found.with_for_update()) is None:
        raise LookupError("no such account")


_ACCOUNT = sa.select(
    tables.accounts.c.id,
    tables.accounts.c.currency,
    tables.accounts.c.frozen,
    tables.accounts.c.created_at,
    tables.accounts.c.deleted_at,
    tables.accounts.c.keeps_quality,
    sa.exists().where(holders.c.account_id == tables.accounts.c.id).label("has_holder"),
    sa.exists()
    .where(holders.c.account_id == tables.accounts.c.id, holders.c.locked_at.is_not(None))
    .label("is_locked"),
    sa.exists()
    .where(holders.c.account_id == tables.accounts.c.id, holders.c.email_proven_at.is_(None))
    .label("is_unproven"),
    (~is_used(tables.accounts.c.id)).label("is_restricted"),
    CALL_LIMIT,
    *limit_columns("account"),
)
_KEYED = (
    _ACCOUNT.add_columns(
        tables.api_keys.c.id.label("key_id"),
        *limit_columns("key"),
        tables.api_keys.c.scopes,
        tables.api_keys.c.expires_at.label("key_expires_at"),
    )
    .join(tables.api_keys, tables.api_keys.c.account_id == tables.accounts.c.id)
    # Expired keys are found as well: a row may be cached beyond its expiry, so the expiry is
    # checked at each request.
    .where(tables.api_keys.c.revoked_at.is_(None))
)
