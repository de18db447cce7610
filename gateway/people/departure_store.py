"""Stores what people decide about their data: to leave, object, restrict or accept.

Each decision commits together with the freeze it causes, its mail and its lines in the register and
the audit log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.data_request import WITHDRAWN, DataRequest, Right
from accounts.erasure import STEPS, Erasure, ErasureState, Unspent
from accounts.holder import Holder, muted_text
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.ports import NO_CHOICES, DataChoices
from accounts.stores import (
    consents,
    data_requests,
    erasures,
    holders,
    links,
    passkeys,
    second_factors,
)
from billing.stores import freezes, tables
from billing.stores.freezes import FreezeReason
from gateway.stores.people_transactions import Change, PeopleTransactions


class SqlDepartures:
    """`accounts.ports.Departures` in SQLite or PostgreSQL."""

    def __init__(self, people: PeopleTransactions) -> None:
        self._people = people

    async def deletion(self, account_id: str) -> Erasure | None:
        """Return an account's open deletion; None if there is none."""
        async with self._people.reading() as connection:
            erasure = await erasures.find(connection, account_id)
        return erasure if erasure is not None and erasure.is_open else None

    async def is_frozen_otherwise(self, account_id: str) -> bool:
        """Return whether an account is frozen for any reason other than its deletion."""
        async with self._people.reading() as connection:
            return bool(
                await freezes.freeze_reasons(connection, account_id) - {FreezeReason.LEAVING}
            )

    async def strongest_proof_since(self, account_id: str) -> datetime | None:
        """Return when the newest of a holder's second factor and passkeys was added."""
        async with self._people.reading() as connection:
            factor = await second_factors.find(connection, account_id)
            keys = await passkeys.of_account(connection, account_id)
        added = [each.added_at for each in keys] + ([factor.added_at] if factor else [])
        return max(added, default=None)

    async def ask_deletion(
        self,
        account_id: str,
        credentials_epoch: int,
        unspent: Unspent,
        due_at: datetime,
        notice: Notice,
    ) -> bool:
        """Record that a person leaves, and freeze the account; False if the session is over.

        A repeat changes nothing.
        """
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return False
            at = change.at
            wanted = Erasure(
                account_id,
                ErasureState.WAITING,
                STEPS[0],
                unspent,
                Actor.HOLDER,
                at,
                max(at, due_at),
            )
            if not await erasures.ask(change.connection, wanted):
                return True
            await change.freeze(FreezeReason.LEAVING, True)
            await data_requests.ask(change.connection, account_id, Right.DELETION, at)
            await change.record(Act.DELETION_ASKED)
            await change.tell(notice)
            # Its mail contains this link too, beside the one that only keeps the account.
            await links.expect(
                change.connection,
                account_id,
                Purpose.NOT_ME,
                notice.recipient or change.holder.email,
                at,
            )
        return True

    async def cancel_deletion(self, account_id: str, credentials_epoch: int) -> bool | None:
        """Keep the account after all; False if it is too late, None if the session is over."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            return None if change is None else await _cancel_and_tell(change)

    async def cancel_by_link(self, digest: str) -> bool:
        """Use a CANCEL_DELETION link; False if it does not work (any more)."""
        purpose = Purpose.CANCEL_DELETION
        async with self._people.changing_by_link(digest, purpose) as change:
            if change is None or not await links.use(change.connection, digest, purpose, change.at):
                return False
            return await _cancel_and_tell(change)

    async def requests(self, account_id: str) -> Sequence[DataRequest]:
        """Return what a person has requested about their data, newest first."""
        async with self._people.reading() as connection:
            return await data_requests.of_account(connection, account_id)

    async def choose(
        self, account_id: str, credentials_epoch: int, wishes: DataChoices
    ) -> Holder | None:
        """Store a person's choices and apply them; None if the session is over."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return None
            changed = await _follow(change, wishes)
        await self._people.forget_remembered()
        return changed

    async def accepted(self, account_id: str) -> Mapping[str, str]:
        """Return document -> the version that a person accepted last."""
        async with self._people.reading() as connection:
            found = await consents.of_account(connection, account_id)
        # In the order in which they were accepted, so the last one wins.
        return {each.document: each.version for each in found}

    async def accept(
        self, account_id: str, credentials_epoch: int, versions: Mapping[str, str]
    ) -> bool:
        """Record what a person accepts (document -> version); False if the session is over."""
        async with self._people.changing(account_id, credentials_epoch) as change:
            if change is None:
                return False
            found = await consents.of_account(change.connection, account_id)
            known = {(each.document, each.version) for each in found}
            # Submitting a form twice accepts nothing more.
            if not known.issuperset(versions.items()):
                await consents.accept(change.connection, account_id, versions, change.at)
                await change.record(Act.TERMS_ACCEPTED)
        await self._people.forget_remembered()
        return True


async def cancel(change: Change) -> bool:
    """Keep an account; False if its deletion has begun, or none was requested."""
    connection, account_id, at = change.connection, change.holder.account_id, change.at
    if not await erasures.cancel(connection, account_id, at):
        return False
    await change.freeze(FreezeReason.LEAVING, False)
    await change.end_links({Purpose.CANCEL_DELETION})
    await data_requests.answer(
        connection, account_id, Right.DELETION, at, Actor.HOLDER, note=WITHDRAWN
    )
    await change.record(Act.DELETION_CANCELLED)
    return True


async def forget_wishes(change: Change) -> Holder:
    """Reset a holder's choices to those of a new account; return the holder as then."""
    return await _follow(change, NO_CHOICES)


async def _cancel_and_tell(change: Change) -> bool:
    is_cancelled = await cancel(change)
    if is_cancelled:
        await change.tell(Notice("deletion_cancelled"))
    return is_cancelled


async def _follow(change: Change, wishes: DataChoices) -> Holder:
    """Store a person's choices and apply them; return the holder as then."""
    holder, at = change.holder, change.at
    before = holder.choices
    values: dict[str, Any] = {
        "objected_at": (before.objected_at or at) if wishes.objects else None,
        "restricted_at": (before.restricted_at or at) if wishes.restricts else None,
        "muted": muted_text(wishes.muted),
    }
    if values == {name: getattr(holder, name) for name in values}:
        return holder
    if wishes.objects != (before.objected_at is not None):
        await change.connection.execute(
            sa.update(tables.accounts)
            .where(tables.accounts.c.id == holder.account_id)
            .values(keeps_quality=not wishes.objects)
        )
        if wishes.objects:
            await _note(change, Right.OBJECTION)
    if wishes.restricts != (before.restricted_at is not None):
        await change.freeze(FreezeReason.RESTRICTED, wishes.restricts)
        if wishes.restricts:
            await _note(change, Right.RESTRICTION)
            await change.tell(Notice("restricted"))
    await change.record(Act.CHOICES_CHANGED)
    return await holders.change(change.connection, holder.account_id, **values)


async def _note(change: Change, right: Right) -> None:
    """Record in the register a request that is fulfilled immediately."""
    account_id = change.holder.account_id
    await data_requests.ask(change.connection, account_id, right, change.at, is_done=True)
