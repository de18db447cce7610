"""What people decide about their data, in memory: as the port says, and no more."""

from __future__ import annotations

from dataclasses import replace

from accounts.audit_log import Actor
from accounts.data_request import DataRequest, Right, due
from accounts.erasure import GRACE, STEPS, Erasure, ErasureState
from accounts.holder import muted_text
from accounts.link import Purpose
from accounts.session import is_of_epoch


class MemoryDepartures:
    """`accounts.ports.Departures`."""

    def __init__(self, world):
        self.world = world
        self.erasures: dict[str, Erasure] = {}
        self.kept: list[DataRequest] = []
        self.frozen_otherwise: set[str] = set()
        self.proof_since = world.now - GRACE
        self.versions: dict[str, dict[str, str]] = {}

    def _standing(self, account_id, epoch):
        holder = self.world.people.holders.get(account_id)
        return holder if holder is not None and is_of_epoch(epoch, holder) else None

    async def deletion(self, account_id):
        found = self.erasures.get(account_id)
        return found if found is not None and found.is_open else None

    async def is_frozen_otherwise(self, account_id):
        return account_id in self.frozen_otherwise

    async def strongest_proof_since(self, account_id):
        return self.proof_since

    async def ask_deletion(self, account_id, credentials_epoch, unspent, due_at, notice):
        if self._standing(account_id, credentials_epoch) is None:
            return False
        if await self.deletion(account_id) is None:
            now = self.world.now
            self.erasures[account_id] = Erasure(
                account_id, ErasureState.WAITING, STEPS[0], unspent, Actor.HOLDER, now, due_at
            )
            self.kept.insert(
                0, DataRequest(len(self.kept) + 1, account_id, Right.DELETION, now, due(now))
            )
            self.world.people.mail(account_id, notice)
        return True

    async def cancel_deletion(self, account_id, credentials_epoch):
        if self._standing(account_id, credentials_epoch) is None:
            return None
        return self._cancel(account_id)

    async def cancel_by_link(self, digest):
        link = self.world.people.links.get(digest)
        if link is None or link.purpose is not Purpose.CANCEL_DELETION:
            return False
        return self._cancel(link.account_id)

    def _cancel(self, account_id):
        found = self.erasures.get(account_id)
        if found is None or found.state is not ErasureState.WAITING:
            return False
        self.erasures[account_id] = replace(found, state=ErasureState.CANCELLED)
        return True

    async def requests(self, account_id):
        return [each for each in self.kept if each.account_id == account_id]

    async def choose(self, account_id, credentials_epoch, wishes):
        holder = self._standing(account_id, credentials_epoch)
        if holder is None:
            return None
        self.world.change(
            account_id,
            objected_at=self.world.now if wishes.objects else None,
            restricted_at=self.world.now if wishes.restricts else None,
            muted=muted_text(wishes.muted),
        )
        self.world.epochs.epoch += "'"
        return self.world.people.holders[account_id]

    async def accepted(self, account_id):
        return self.versions.get(account_id, {})

    async def accept(self, account_id, credentials_epoch, versions):
        if self._standing(account_id, credentials_epoch) is None:
            return False
        self.versions[account_id] = dict(versions)
        self.world.epochs.epoch += "'"
        return True
