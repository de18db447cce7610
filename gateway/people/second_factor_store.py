"""Stores second factors in SQL, each change with its mail and its line in the audit log.

Secrets that must be read again are sealed; those only compared are stored as digests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from accounts.audit_log import Act, Actor
from accounts.holder import Holder
from accounts.link import STALE_AFTER_SECOND_FACTOR
from accounts.notice import Notice
from accounts.ports import NewSecondFactor
from accounts.second_factor import SecondFactor
from accounts.stores import passkeys, second_factors
from accounts.stores.secret_box import SecretBox
from database.errors import StoreUnavailableError
from gateway.stores.people_transactions import Change, PeopleTransactions


class SqlSecondFactors:
    """`accounts.ports.SecondFactors` in SQLite or PostgreSQL."""

    def __init__(self, people: PeopleTransactions, box: SecretBox | None) -> None:
        """Take the sealing box; without it none can be added, and existing ones cannot be read."""
        self._people = people
        self._box = box

    async def find(self, account_id: str) -> SecondFactor | None:
        """Return a holder's second factor.

        Also raises StoreUnavailableError if its secret cannot be opened, so that no one is signed
        in without it.
        """
        async with self._people.reading() as connection:
            sealed = await second_factors.find(connection, account_id)
        if sealed is None:
            return None
        secret = self._opener().open(sealed.sealed_secret, account_id)
        return SecondFactor(secret, sealed.last_step, sealed.added_at, sealed.codes_left)

    async def add(
        self, account_id: str, credentials_epoch: int, new: NewSecondFactor, notice: Notice
    ) -> Holder | None:
        """Add the only one, and begin a credentials epoch; None also if there already is one."""
        sealed = self._opener().seal(new.secret, account_id)
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None or await second_factors.find(change.connection, account_id):
                return None
            await second_factors.add(change.connection, account_id, sealed, new.step, change.at)
            await second_factors.replace_codes(change.connection, account_id, new.digests)
            return await _finish(change, Act.SECOND_FACTOR_ADDED, notice)

    async def renew_codes(
        self, account_id: str, credentials_epoch: int, digests: Sequence[str], notice: Notice
    ) -> Holder | None:
        """Replace the recovery codes, and begin an epoch; None also without a second factor."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None or not await second_factors.find(change.connection, account_id):
                return None
            await second_factors.replace_codes(change.connection, account_id, digests)
            return await _finish(change, Act.RECOVERY_CODES_RENEWED, notice)

    async def remove(
        self, account_id: str, credentials_epoch: int, notice: Notice
    ) -> Holder | None:
        """Remove it and its recovery codes, and begin an epoch; None also if there is none."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None or not await second_factors.remove(change.connection, account_id):
                return None
            return await _finish(change, Act.SECOND_FACTOR_REMOVED, notice)

    async def reset(self, account_id: str, notice: Notice, *, operator: str, reason: str) -> bool:
        """Remove second factor and passkeys for an operator, when a person has lost them.

        The password stays, and is all that is then required. False if there was neither: a repeat
        changes nothing.
        """
        async with self._people.changing_for_operator(account_id) as change:
            if change is None:
                return False
            has_factor = await second_factors.remove(change.connection, account_id)
            keys = await passkeys.of_account(change.connection, account_id)
            for each in keys:
                await passkeys.remove(change.connection, account_id, each.credential_id)
                await change.record(
                    Act.PASSKEY_REMOVED, Actor.OPERATOR, reason=reason, operator=operator
                )
            if not has_factor and not keys:
                return False
            if has_factor:
                await change.record(
                    Act.SECOND_FACTOR_REMOVED, Actor.OPERATOR, reason=reason, operator=operator
                )
            await change.end_links(STALE_AFTER_SECOND_FACTOR)
            await change.begin_epoch()
            await change.tell(notice)
            return True

    async def use_step(self, account_id: str, credentials_epoch: int, step: int) -> bool:
        """Record the time step of a correct code; False if it or a later one was used."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return False
            found = await second_factors.find(change.connection, account_id)
            if found is None:
                return False
            # Sealed again under today's key, so that an older one need not be kept for ever.
            secret = self._opener().open(found.sealed_secret, account_id)
            sealed = self._opener().seal(secret, account_id)
            return await second_factors.use_step(change.connection, account_id, step, sealed)

    async def use_recovery_code(
        self, account_id: str, credentials_epoch: int, digest: str, notice: Notice
    ) -> bool:
        """Use up a recovery code; False if there is none. The notice gets the number `left`."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return False
            left = await second_factors.use_code(change.connection, account_id, digest)
            if left is None:
                return False
            await change.record(Act.RECOVERY_CODE_USED)
            await change.tell(replace(notice, values={**notice.values, "left": str(left)}))
            return True

    def _opener(self) -> SecretBox:
        if self._box is None:
            raise StoreUnavailableError("second factors have no key: CALLER_SECOND_FACTOR_KEYS")
        return self._box


async def _finish(change: Change, act: Act, notice: Notice) -> Holder:
    await change.end_links(STALE_AFTER_SECOND_FACTOR)
    await change.record(act)
    await change.tell(notice)
    return await change.begin_epoch()
