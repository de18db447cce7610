"""Stores people in SQL: each change of a holder with its mails, in one transaction.

Joins what `accounts` stores of a person to the account in `billing`. Every change holds its
holder's lock, so of two at once the second sees what the first has done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from accounts.audit_log import Act, Actor
from accounts.data_request import Right
from accounts.holder import Device, Holder
from accounts.link import (
    STALE_AFTER_ADDRESS,
    STALE_AFTER_LOCK,
    STALE_AFTER_PASSWORD,
    Link,
    Purpose,
)
from accounts.notice import Notice
from accounts.ports import AddressTakenError, NewHolder
from accounts.session import is_of_epoch
from accounts.stores import audit_log, consents, data_requests, devices, holders, links
from accounts.stores import tables as people
from billing.clock import Clock, utc_now
from billing.stores import tables
from billing.stores.freezes import FreezeReason
from database.engine import TIMEOUT_S, reading
from gateway.app import TakingBack
from gateway.people import departure_store as departures
from gateway.stores.card_events import stop_automatic_top_ups
from gateway.stores.people_transactions import (
    STANDING,
    OnFreeze,
    PeopleTransactions,
    Queue,
    freeze_nobody,
    locked,
    locked_by_link,
    standing,
    tell_nobody,
)

_ACCOUNTS = tables.accounts.c
LOCKED = FreezeReason.LOCKED
EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Before the first account: nodes' clocks may differ by any amount."""
_ADDRESS_TAKEN = ("uq_holders_email_key", "UNIQUE constraint failed: holders.email_key")
"""PostgreSQL's and SQLite's name for a second holder of an address; neither is translated."""


class _NotDoneError(Exception):
    """Rolls a transaction back; never leaves this module."""


@dataclass(frozen=True, slots=True)
class _Use:
    """A link that is being used, and its holder, whose lock is held."""

    connection: AsyncConnection
    digest: str
    made: links.MadeLink
    holder: Holder
    at: datetime

    @property
    def link(self) -> Link:
        return self.made.link

    @property
    def account_id(self) -> str:
        return self.holder.account_id

    async def use_up(self) -> bool:
        """Use up the link; False if it does not work (any more)."""
        return await links.use(self.connection, self.digest, self.link.purpose, self.at)

    async def end(self, purposes: frozenset[Purpose]) -> None:
        await links.end(self.connection, self.account_id, purposes, self.at)

    async def end_since(self, changed_at: datetime) -> None:
        """End the ways back from changes since then, and all links sent elsewhere since then."""
        whose = (self.connection, self.account_id)
        await links.end(*whose, {Purpose.UNDO_CHANGE}, self.at, asked_from=changed_at)
        email = self.link.email
        await links.end(*whose, set(Purpose), self.at, asked_from=changed_at, but_at=email)

    async def record(self, act: Act) -> None:
        await audit_log.record(self.connection, self.account_id, act, self.at)


class SqlPeople(PeopleTransactions):
    """`accounts.ports.People` in SQLite or PostgreSQL."""

    def __init__(
        self,
        engine: AsyncEngine,
        queue: Queue,
        *,
        taking_back: TakingBack,
        clock: Clock = utc_now,
        timeout_s: float = TIMEOUT_S,
        on_epoch: Callable[[], Awaitable[None]] = tell_nobody,
        on_freeze: OnFreeze = freeze_nobody,
    ) -> None:
        super().__init__(
            engine,
            queue,
            clock=clock,
            timeout_s=timeout_s,
            on_epoch=on_epoch,
            on_freeze=on_freeze,
        )
        self._taking_back = taking_back

    async def holder(self, account_id: str) -> Holder | None:
        """Return the holder of an account; None if there is none, or it was deleted."""
        return await self._find(people.holders.c.account_id == account_id)

    async def holder_by_email(self, email_key: str) -> Holder | None:
        """Return the holder who has this address."""
        return await self._find(people.holders.c.email_key == email_key)

    async def sign_up(self, new: NewHolder, notice: Notice) -> bool:
        """Create account and holder; False, changing nothing, if the address is known.

        An address that its last holder can still go back to counts as known. Repeating a completed
        sign-up returns True.
        """
        at = self._clock()
        holder = Holder(
            account_id=new.account_id,
            email=new.email,
            email_proven_at=None,
            password_hash=new.password_hash,
            credentials_epoch=1,
            language=new.language,
            created_at=at,
        )
        try:
            async with self._writing() as connection:
                if not await holders.insert(connection, holder, new.email_key):
                    known = await holders.find_by_email(connection, new.email_key)
                    return known is not None and known.account_id == new.account_id
                await _require_free(connection, new.account_id, new.email_key, at)
                row = tables.new_account(new.account_id, new.currency, at)
                await connection.execute(sa.insert(tables.accounts).values(row))
                await consents.accept(connection, new.account_id, new.consents, at)
                await audit_log.record(connection, new.account_id, Act.SIGNED_UP, at)
                await self._queue(connection, new.account_id, notice, at)
        except _NotDoneError:
            return False
        return True

    async def tell(self, account_id: str, notice: Notice) -> None:
        """Queue a notice that belongs to no change; without a holder only take the write lock.

        A link to prove the address or to reset the password works only if it is about the address
        as the holder spells it.
        """
        async with self._writing() as connection:
            if await locked(connection, account_id) is not None:
                await self._queue(connection, account_id, notice, self._clock())

    async def tell_signed_in(self, account_id: str, credentials_epoch: int, notice: Notice) -> bool:
        """Queue a notice requested by a signed-in person; False if their session is over."""
        async with self._writing() as connection:
            if await standing(connection, account_id, credentials_epoch) is None:
                return False
            await self._queue(connection, account_id, notice, self._clock())
            return True

    async def look_at_link(self, digest: str) -> Link | None:
        """Return a link without using it; None if there is none."""
        async with reading(self._engine, self._timeout_s) as connection:
            made = await links.find(connection, digest)
        return None if made is None else made.link

    async def prove_address(self, digest: str, password_hash: str) -> Holder | None:
        """Use a PROVE_ADDRESS link, and begin a credentials epoch; None if it does not work.

        Every session that began before is over, because anyone can sign up with an address. Also
        None if the holder's password is no longer the one that the reader gave.
        """
        async with self._using(digest, Purpose.PROVE_ADDRESS) as use:
            # A link proves the address that it was sent to, and no other.
            if use is None or use.link.email != use.holder.email:
                return None
            if use.holder.password_hash != password_hash or not await use.use_up():
                return None
            changed = await _prove(use, begins_epoch=True)
            await use.record(Act.ADDRESS_PROVEN)
            return changed

    async def reset_password(
        self, digest: str, password_hash: str, notice: Notice, language: str = ""
    ) -> Holder | None:
        """Use a RESET_PASSWORD link: set the password, unlock, begin a credentials epoch.

        The address counts as proven: the link was read there. If it was not proven before, all
        that was added or chosen until now is removed, because it was not proven to be the owner's,
        and the account's language becomes the reader's. The notice lists what stays. Return the
        holder as then.
        """
        async with self._using(digest, Purpose.RESET_PASSWORD) as use:
            if use is None or use.link.email != use.holder.email or not await use.use_up():
                return None
            await use.end(STALE_AFTER_PASSWORD | {Purpose.RESET_PASSWORD})
            changed = await _prove(
                use, begins_epoch=True, password_hash=password_hash, locked_at=None
            )
            await self._freeze(use.connection, use.account_id, LOCKED, False, use.at)
            if not use.holder.is_proven:
                changed = await self._taking_back.everything(
                    self._change(use.connection, changed), language
                )
                await use.record(Act.ADDRESS_PROVEN)
            # Anyone else who was signed in with one is a stranger from now on.
            await devices.forget_since(use.connection, use.account_id, EVER)
            await use.record(Act.PASSWORD_RESET)
            stays = await self._taking_back.what_stays(use.connection, use.account_id, use.at)
            complete = replace(notice, values={**notice.values, **stays})
            await self._queue(use.connection, use.account_id, complete, use.at)
            return changed

    async def change_address(
        self, digest: str, credentials_epoch: int, email_key: str, notices: Sequence[Notice]
    ) -> Holder | None:
        """Use a CHANGE_ADDRESS link; None if it does not work (any more).

        `credentials_epoch` is the one in which its reader proved who they are: also None if it is
        over, or the holder is locked.

        Raises AddressTakenError if the address became somebody else's; then nothing changes.

        The previous address is reserved for its holder while an UNDO_CHANGE link can go back to it.
        One that was never proven is not: its owner is unknown, so it gets no mail either. Nor is
        one from which the holder returns to where an UNDO_CHANGE link leads: that mailbox may undo
        all changes since, however it does so.
        """
        try:
            async with self._using(digest, Purpose.CHANGE_ADDRESS) as use:
                if use is None or not is_of_epoch(credentials_epoch, use.holder):
                    return None
                if not await use.use_up():
                    return None
                before_key = await holders.email_key(use.connection, use.account_id)
                way = await links.way_back(use.connection, use.account_id, use.link.email, use.at)
                if way is not None:
                    await use.end_since(way[1])
                changed = await self._move(use, email_key, STALE_AFTER_ADDRESS)
                can_go_back = use.holder.is_proven and before_key != email_key and way is None
                if can_go_back:
                    await links.expect(
                        use.connection,
                        use.account_id,
                        Purpose.UNDO_CHANGE,
                        use.holder.email,
                        use.at,
                        email_key=before_key,
                    )
                await use.record(Act.ADDRESS_CHANGED)
                await data_requests.ask(
                    use.connection, use.account_id, Right.CORRECTION, use.at, is_done=True
                )
                for notice in notices:
                    if can_go_back or notice.link is not Purpose.UNDO_CHANGE:
                        # The person who asked may have moved the address elsewhere, without a
                        # session.
                        reach = min(notice.reach or use.at, use.made.reach)
                        complete = replace(notice, reach=reach)
                        await self._queue(use.connection, use.account_id, complete, use.at)
                return changed
        except _NotDoneError:
            raise AddressTakenError from None

    async def undo_change(self, digest: str, email_key: str, notice: Notice) -> Holder | None:
        """Use an UNDO_CHANGE link: restore the previous address, lock, begin a credentials epoch.

        It ends the links that would undo this change or a later one, never those of an earlier one:
        an intruder has the addresses that came last.
        """
        try:
            async with self._using(digest, Purpose.UNDO_CHANGE) as use:
                if use is None or not await use.use_up():
                    return None
                changed = await self._go_back(use, email_key, use.made.asked_at)
                await self._disown(use, changed, notice)
                return changed
        except _NotDoneError:
            return None

    async def lock(self, digest: str, notice: Notice) -> Holder | None:
        """Use a NOT_ME link: lock, and begin a credentials epoch.

        If it was sent to an earlier address, that address is restored, as by the link in the mail
        about its change: an intruder reads the mails that come after.
        """
        try:
            async with self._using(digest, Purpose.NOT_ME) as use:
                if use is None or not await use.use_up():
                    return None
                way = None
                if use.link.email != use.holder.email:
                    way = await links.way_back(
                        use.connection, use.account_id, use.link.email, use.at
                    )
                if way is not None:
                    changed = await self._go_back(use, *way)
                else:
                    await use.end(STALE_AFTER_LOCK)
                    changed = await holders.change(
                        use.connection, use.account_id, begins_epoch=True, **_lock_of(use)
                    )
                await use.record(Act.LOCKED)
                await self._disown(use, changed, notice)
                return changed
        except _NotDoneError:
            return None

    async def use_sign_in_link(self, digest: str) -> Holder | None:
        """Use a SIGN_IN link; None if it does not work, or its holder is locked."""
        async with self._using(digest, Purpose.SIGN_IN) as use:
            if use is None or use.holder.locked_at is not None or not await use.use_up():
                return None
            return use.holder

    async def set_password(
        self, account_id: str, credentials_epoch: int, password_hash: str, notice: Notice
    ) -> Holder | None:
        """Set a new password, and begin a credentials epoch; None if the session is over.

        A pending reset stays: a thief who knows the password must not keep out the owner of the
        mailbox.
        """
        at = self._clock()
        async with self._writing() as connection:
            holder = await standing(connection, account_id, credentials_epoch)
            if holder is None:
                return None
            await links.end(connection, account_id, STALE_AFTER_PASSWORD, at)
            changed = await holders.change(
                connection, account_id, begins_epoch=True, password_hash=password_hash
            )
            await audit_log.record(connection, account_id, Act.PASSWORD_SET, at)
            await self._queue(connection, account_id, notice, at)
            return changed

    async def end_sessions(self, account_id: str, credentials_epoch: int) -> Holder | None:
        """Begin a credentials epoch; None if the session that asks is already over."""
        async with self._writing() as connection:
            if await standing(connection, account_id, credentials_epoch) is None:
                return None
            changed = await holders.change(connection, account_id, begins_epoch=True)
            await audit_log.record(connection, account_id, Act.SESSIONS_ENDED, self._clock())
            return changed

    async def rehash(self, account_id: str, old_hash: str, new_hash: str) -> None:
        """Replace a hash by one of the same password; do nothing if it has changed since."""
        async with self._writing() as connection:
            holder = await locked(connection, account_id)
            if holder is None or holder.password_hash != old_hash:
                return
            await holders.change(connection, account_id, password_hash=new_hash)
            await audit_log.record(
                connection, account_id, Act.PASSWORD_REHASHED, self._clock(), Actor.SERVICE
            )

    async def set_language(self, account_id: str, credentials_epoch: int, language: str) -> bool:
        """Set the language of pages and mails; False if the session is over."""
        async with self._writing() as connection:
            holder = await standing(connection, account_id, credentials_epoch)
            if holder is None:
                return False
            if holder.language == language:
                return True
            await holders.change(connection, account_id, language=language)
            await audit_log.record(connection, account_id, Act.LANGUAGE_SET, self._clock())
            return True

    async def note_device(self, account_id: str, device: Device, notice: Notice | None) -> bool:
        """Record a sign-in with a device; return whether it is new.

        The notice is queued for a new device, unless it is the account's first.
        """
        at = self._clock()
        async with self._writing() as connection:
            holder = await locked(connection, account_id)
            if holder is None:
                return False
            seen = await devices.note(connection, account_id, device)
            is_new = seen is not devices.Seen.BEFORE
            is_notified = seen is devices.Seen.NEW
            if seen is devices.Seen.FIRST_OF_ALL:
                # The log also has devices that were forgotten, for example by a lock.
                is_notified = (
                    await audit_log.count_since(
                        connection, account_id, Act.DEVICE_ADDED, holder.created_at
                    )
                    > 0
                )
            if is_notified and notice is not None:
                await self._queue(connection, account_id, notice, at)
            act = Act.DEVICE_ADDED if is_new else Act.SIGNED_IN
            await audit_log.record(connection, account_id, act, at)
            return is_new

    async def devices(self, account_id: str) -> Sequence[Device]:
        """Return an account's devices, most recently seen first."""
        async with reading(self._engine, self._timeout_s) as connection:
            return await devices.of_account(connection, account_id)

    async def forget_device(self, account_id: str, credentials_epoch: int, device_id: str) -> bool:
        """Forget a device, so that it counts as new next time; False if the session is over.

        A repeat returns True, and changes nothing.
        """
        async with self._writing() as connection:
            if await standing(connection, account_id, credentials_epoch) is None:
                return False
            if await devices.forget(connection, account_id, device_id):
                await audit_log.record(connection, account_id, Act.DEVICE_FORGOTTEN, self._clock())
            return True

    async def _find(self, condition: sa.ColumnElement[bool]) -> Holder | None:
        async with reading(self._engine, self._timeout_s) as connection:
            return await holders.fetch(connection, STANDING.where(condition))

    @asynccontextmanager
    async def _using(self, digest: str, purpose: Purpose) -> AsyncIterator[_Use | None]:
        """Open a transaction with a link and its holder; None if there is no such link."""
        async with self._writing() as connection:
            found = await locked_by_link(connection, digest, purpose)
            if found is None:
                yield None
                return
            made, holder = found
            yield _Use(connection, digest, made, holder, self._clock())

    async def _disown(self, use: _Use, changed: Holder, notice: Notice) -> None:
        """Freeze the account, take back what was added or asked for, and report what that was."""
        change = self._change(use.connection, use.holder)
        await change.freeze(LOCKED, True)
        await stop_automatic_top_ups(use.connection, use.account_id, use.at)
        taken = await self._taking_back.since(change, use.made.takes_back_since)
        if await departures.cancel(change):
            taken = {**taken, "kept": "yes"}
        # To the current address: at any other, the link would open nothing.
        complete = replace(notice, recipient=changed.email, values={**notice.values, **taken})
        await self._queue(use.connection, use.account_id, complete, use.at)

    async def _go_back(self, use: _Use, email_key: str, changed_at: datetime) -> Holder:
        """Give a locked holder back the link's address, which they left at `changed_at`.

        The ways back from that change and from later ones end, never those from an earlier one. So
        does anything else sent since to another address, where an intruder would read it. Raises
        _NotDoneError.
        """
        await use.end_since(changed_at)
        changed = await self._move(
            use, email_key, STALE_AFTER_ADDRESS, begins_epoch=True, **_lock_of(use)
        )
        await use.record(Act.CHANGE_UNDONE)
        return changed

    async def _move(
        self, use: _Use, email_key: str, stale: frozenset[Purpose], **values: Any
    ) -> Holder:
        """Give a holder the link's address, proven, because the link was read there.

        Raises _NotDoneError if somebody else has it.
        """
        await use.end(stale)
        try:
            changed = await _prove(use, email=use.link.email, email_key=email_key, **values)
        except sa.exc.IntegrityError as error:
            # Any other refusal here is our own mistake.
            if not any(sign in str(error.orig) for sign in _ADDRESS_TAKEN):
                raise
            raise _NotDoneError from None
        await _require_free(use.connection, use.account_id, email_key, use.at)
        return changed


async def _prove(use: _Use, **values: Any) -> Holder:
    """Mark the link's address as proven, and send billing's notices there."""
    proven_at = use.at if use.link.email != use.holder.email else use.holder.email_proven_at
    changed = await holders.change(
        use.connection, use.account_id, email_proven_at=proven_at or use.at, **values
    )
    await use.connection.execute(
        sa.update(tables.accounts)
        .where(_ACCOUNTS.id == use.account_id)
        .values(email=use.link.email)
    )
    return changed


def _lock_of(use: _Use) -> dict[str, Any]:
    return {"locked_at": use.holder.locked_at or use.at}


async def _require_free(
    connection: AsyncConnection, account_id: str, email_key: str, at: datetime
) -> None:
    """Raise _NotDoneError if another holder may still go back to an address.

    Checked once the address is taken: a holder who gave it up has committed by then.
    """
    if await links.is_kept_for_another(connection, account_id, email_key, at):
        raise _NotDoneError
