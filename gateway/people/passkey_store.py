"""Stores passkeys in SQL, each change with its mail and its line in the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from accounts.audit_log import Act, Actor
from accounts.holder import Holder
from accounts.link import STALE_AFTER_SECOND_FACTOR
from accounts.notice import Notice
from accounts.passkey import PASSKEYS_MAX, Passkey
from accounts.ports import PasskeyTakenError, TooManyPasskeysError
from accounts.stores import passkeys
from gateway.stores.people_transactions import PeopleTransactions


class SqlPasskeys:
    """`accounts.ports.Passkeys` in SQLite or PostgreSQL."""

    def __init__(self, people: PeopleTransactions) -> None:
        self._people = people

    async def find(self, credential_id: str) -> Passkey | None:
        """Return a passkey and whose it is."""
        async with self._people.reading() as connection:
            return await passkeys.find(connection, credential_id)

    async def of_account(self, account_id: str) -> Sequence[Passkey]:
        """Return a holder's passkeys, newest first."""
        async with self._people.reading() as connection:
            return await passkeys.of_account(connection, account_id)

    async def add(self, passkey: Passkey, credentials_epoch: int, notice: Notice) -> Holder | None:
        """Add one, and begin an epoch; None if the session is over.

        Raises PasskeyTakenError, TooManyPasskeysError; then nothing changes.
        """
        account_id = passkey.account_id
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return None
            if len(await passkeys.of_account(change.connection, account_id)) >= PASSKEYS_MAX:
                raise TooManyPasskeysError
            if not await passkeys.add(change.connection, passkey):
                raise PasskeyTakenError
            await change.end_links(STALE_AFTER_SECOND_FACTOR)
            await change.record(Act.PASSKEY_ADDED)
            await change.tell(notice)
            return await change.begin_epoch()

    async def rename(
        self, account_id: str, credentials_epoch: int, credential_id: str, name: str
    ) -> bool:
        """Rename one; False if the session is over. Does nothing if it is gone."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return False
            if await passkeys.rename(change.connection, account_id, credential_id, name):
                await change.record(Act.PASSKEY_RENAMED)
            return True

    async def remove(
        self, account_id: str, credentials_epoch: int, credential_id: str, notice: Notice
    ) -> Holder | None:
        """Remove one, and begin an epoch; None if the session is over.

        If it is already gone, no epoch begins.
        """
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return None
            if not await passkeys.remove(change.connection, account_id, credential_id):
                return change.holder
            await change.end_links(STALE_AFTER_SECOND_FACTOR)
            await change.record(Act.PASSKEY_REMOVED)
            await change.tell(notice)
            return await change.begin_epoch()

    async def use(self, passkey: Passkey, credentials_epoch: int, before: int) -> bool:
        """Record a use; False if the epoch is over, or the count is no longer `before`."""
        async with self._people.changing(passkey.account_id, credentials_epoch) as change:
            return change is not None and await passkeys.use(change.connection, passkey, before)

    async def note_counted_back(self, account_id: str, credentials_epoch: int) -> None:
        """Record that a passkey's counter has not risen."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is not None:
                await change.record(Act.PASSKEY_COUNTED_BACK, Actor.SERVICE)
