"""Opens the transactions that change people: with the holder's lock and everything that goes along.

A change, its mails, its line in the audit log and the end of an epoch commit together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act, Actor
from accounts.holder import Holder
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.session import is_of_epoch
from accounts.stores import audit_log, holders, links
from accounts.stores import tables as people
from billing.clock import Clock, utc_now
from billing.stores import tables
from billing.stores.freezes import FreezeReason, set_freeze
from database.engine import TIMEOUT_S, reading, writing
from database.errors import StoreUnavailableError

Queue = Callable[[AsyncConnection, str, Notice, datetime], Awaitable[None]]
"""Queues a notice to the holder of an account (connection, account id, notice, now)."""

STANDING = holders.SELECT.join(
    tables.accounts, tables.accounts.c.id == people.holders.c.account_id
).where(tables.accounts.c.deleted_at.is_(None))
"""Holders whose account was not deleted: a deletion erases them last."""


OnFreeze = Callable[[str, bool], Awaitable[None]]
"""Notifies the spend gate whether an account is frozen. May raise StoreUnavailableError."""
_FREEZES: Final = "caller.freezes"


async def tell_nobody() -> None:
    """Do nothing: no process caches holders."""


async def freeze_nobody(_account_id: str, _is_frozen: bool) -> None:
    """Do nothing: there is no spend gate."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a holder in progress, whose lock is held."""

    connection: AsyncConnection
    holder: Holder
    at: datetime
    _queue: Queue = field(repr=False)
    _freeze: Callable[[AsyncConnection, str, FreezeReason, bool, datetime], Awaitable[None]] = (
        field(repr=False)
    )

    async def begin_epoch(self) -> Holder:
        """End every session that began before; return the holder as then."""
        account_id = self.holder.account_id
        return await holders.change(self.connection, account_id, begins_epoch=True)

    async def record(
        self, act: Act, actor: Actor = Actor.HOLDER, *, reason: str = "", operator: str = ""
    ) -> None:
        """Write a line into the audit log."""
        await audit_log.record(
            self.connection,
            self.holder.account_id,
            act,
            self.at,
            actor,
            reason=reason,
            operator=operator,
        )

    async def tell(self, notice: Notice) -> None:
        """Queue a mail."""
        await self._queue(self.connection, self.holder.account_id, notice, self.at)

    async def freeze(self, reason: FreezeReason, frozen: bool) -> None:
        """Freeze the account for a reason, or release it."""
        await self._freeze(self.connection, self.holder.account_id, reason, frozen, self.at)

    async def end_links(self, purposes: Collection[Purpose]) -> None:
        """End the holder's links of these purposes."""
        await links.end(self.connection, self.holder.account_id, purposes, self.at)


class PeopleTransactions:
    """The base of every change of people.

    `on_epoch` is awaited after each commit that changes a holder, so that every process drops what
    it has cached of them, and `on_freeze` after each that freezes an account or releases it. If
    they raise StoreUnavailableError, the change has still happened, and is reported as done.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        queue: Queue,
        *,
        clock: Clock = utc_now,
        timeout_s: float = TIMEOUT_S,
        on_epoch: Callable[[], Awaitable[None]] = tell_nobody,
        on_freeze: OnFreeze = freeze_nobody,
    ) -> None:
        self._engine = engine
        self._queue_notice = queue
        self._clock = clock
        self._timeout_s = timeout_s
        self._on_epoch = on_epoch
        self._on_freeze = on_freeze

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that changes nothing. Raises StoreUnavailableError."""
        async with reading(self._engine, self._timeout_s) as connection:
            yield connection

    @asynccontextmanager
    async def changing(
        self, account_id: str, credentials_epoch: int
    ) -> AsyncIterator[Change | None]:
        """Open a transaction of a person identified in this epoch; None if it is over.

        Raises StoreUnavailableError.
        """
        async with self._writing() as connection:
            holder = await standing(connection, account_id, credentials_epoch)
            yield None if holder is None else self._change(connection, holder)

    @asynccontextmanager
    async def changing_by_link(self, digest: str, purpose: Purpose) -> AsyncIterator[Change | None]:
        """Open a transaction by a link; None if there is none of this purpose."""
        async with self._writing() as connection:
            found = await locked_by_link(connection, digest, purpose)
            yield None if found is None else self._change(connection, found[1])

    @asynccontextmanager
    async def changing_for_operator(self, account_id: str) -> AsyncIterator[Change | None]:
        """Open a transaction on a holder, whoever is signed in; None if there is no holder."""
        async with self._writing() as connection:
            holder = await locked(connection, account_id)
            yield None if holder is None else self._change(connection, holder)

    def _change(self, connection: AsyncConnection, holder: Holder) -> Change:
        return Change(connection, holder, self._clock(), self._queue, self._freeze)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        has_changed, frozen = False, dict[str, bool]()
        try:
            async with writing(self._engine, self._timeout_s) as connection:
                # Left over from a transaction that was rolled back.
                holders.take_changed(connection)
                connection.info.pop(_FREEZES, None)
                yield connection
                has_changed = holders.take_changed(connection)
                frozen = connection.info.pop(_FREEZES, {})
        except StoreUnavailableError:
            # Even after an error, the commit may have happened.
            if has_changed or frozen:
                await self.forget_remembered()
            raise
        # After the commit: before it, a node could read the old row and then cache it.
        for account_id, is_frozen in frozen.items():
            # If this fails, the comparison of gate and book corrects it within a minute.
            with suppress(StoreUnavailableError):
                await self._on_freeze(account_id, is_frozen)
        if has_changed or frozen:
            await self.forget_remembered()

    async def forget_remembered(self) -> None:
        """Make every process drop the holders it has cached.

        If this fails, sessions cannot be read either, because they are stored in the same place.
        """
        with suppress(StoreUnavailableError):
            await self._on_epoch()

    async def _freeze(
        self,
        connection: AsyncConnection,
        account_id: str,
        reason: FreezeReason,
        frozen: bool,
        at: datetime,
    ) -> None:
        """Freeze an account for a reason, or release it; the gate is notified after the commit."""
        is_frozen = await set_freeze(connection, account_id, reason, frozen, at)
        connection.info.setdefault(_FREEZES, {})[account_id] = is_frozen

    async def _queue(
        self, connection: AsyncConnection, account_id: str, notice: Notice, at: datetime
    ) -> None:
        if notice.link is Purpose.NOT_ME:
            # To the current address: the caller may know an older one, which has been left since.
            holder = await holders.find(connection, account_id)
            notice = replace(notice, recipient=holder.email if holder else notice.recipient)
        # A change of address decides what can be undone, not a notice.
        if notice.link is not None and notice.link is not Purpose.UNDO_CHANGE:
            email = notice.link_email or notice.recipient
            if not email:
                holder = await holders.find(connection, account_id)
                email = holder.email if holder else ""
            await links.expect(connection, account_id, notice.link, email, at)
        await self._queue_notice(connection, account_id, notice, at)


async def locked(connection: AsyncConnection, account_id: str) -> Holder | None:
    """Return the holder of an account that was not deleted, and lock it until the commit."""
    query = STANDING.where(people.holders.c.account_id == account_id)
    return await holders.fetch(connection, query.with_for_update(of=people.holders))


async def locked_by_link(
    connection: AsyncConnection, digest: str, purpose: Purpose
) -> tuple[links.MadeLink, Holder] | None:
    """Return a link of this purpose and its holder, who is locked; None if either is gone."""
    made = await links.find(connection, digest)
    if made is None or made.link.purpose is not purpose:
        return None
    # Before the link: two links of one holder would otherwise deadlock.
    holder = await locked(connection, made.link.account_id)
    return None if holder is None else (made, holder)


async def standing(
    connection: AsyncConnection, account_id: str, credentials_epoch: int
) -> Holder | None:
    """Return and lock the holder of a session; None if the session is over."""
    holder = await locked(connection, account_id)
    return holder if holder is not None and is_of_epoch(credentials_epoch, holder) else None
