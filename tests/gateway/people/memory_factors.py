"""Second factors, passkeys and ceremonies in memory: as the ports say, and no more."""

from __future__ import annotations

import itertools
from dataclasses import replace

from accounts.ceremony import LIVES
from accounts.passkey import PASSKEYS_MAX, Passkey
from accounts.ports import PasskeyTakenError, TooManyPasskeysError
from accounts.second_factor import SecondFactor


class MemorySecondFactors:
    """`accounts.ports.SecondFactors`, whose mails leave at once."""

    def __init__(self, world):
        self.world = world
        self.kept: dict[str, SecondFactor] = {}
        self.digests: dict[str, set[str]] = {}

    async def find(self, account_id):
        kept = self.kept.get(account_id)
        return kept and replace(kept, codes_left=len(self.digests[account_id]))

    def _begin_epoch(self, account_id, notice):
        people = self.world.people
        epoch = people.holders[account_id].credentials_epoch + 1
        return people._change(account_id, [notice], credentials_epoch=epoch)

    async def add(self, account_id, credentials_epoch, new, notice):
        if not self.world.people._stands(account_id, credentials_epoch) or account_id in self.kept:
            return None
        self.kept[account_id] = SecondFactor(new.secret, new.step, self.world.now, 0)
        self.digests[account_id] = set(new.digests)
        return self._begin_epoch(account_id, notice)

    async def renew_codes(self, account_id, credentials_epoch, digests, notice):
        stands = self.world.people._stands(account_id, credentials_epoch)
        if not stands or account_id not in self.kept:
            return None
        self.digests[account_id] = set(digests)
        return self._begin_epoch(account_id, notice)

    async def remove(self, account_id, credentials_epoch, notice):
        stands = self.world.people._stands(account_id, credentials_epoch)
        if not stands or self.kept.pop(account_id, None) is None:
            return None
        return self._begin_epoch(account_id, notice)

    async def use_step(self, account_id, credentials_epoch, step):
        kept = self.kept.get(account_id)
        if kept is None or kept.last_step >= step:
            return False
        self.kept[account_id] = replace(kept, last_step=step)
        return self.world.people._stands(account_id, credentials_epoch)

    async def use_recovery_code(self, account_id, credentials_epoch, digest, notice):
        if digest not in self.digests.get(account_id, ()):
            return False
        self.digests[account_id].remove(digest)
        left = str(len(self.digests[account_id]))
        self.world.people.mail(account_id, replace(notice, values={"left": left}))
        return True


class MemoryPasskeys:
    """`accounts.ports.Passkeys`, whose mails leave at once."""

    def __init__(self, world):
        self.world = world
        self.kept: dict[str, Passkey] = {}
        self.counted_back: list[str] = []

    async def find(self, credential_id):
        return self.kept.get(credential_id)

    async def of_account(self, account_id):
        return [each for each in self.kept.values() if each.account_id == account_id]

    async def add(self, passkey, credentials_epoch, notice):
        if not self.world.people._stands(passkey.account_id, credentials_epoch):
            return None
        if len(await self.of_account(passkey.account_id)) >= PASSKEYS_MAX:
            raise TooManyPasskeysError
        if passkey.credential_id in self.kept:
            raise PasskeyTakenError
        self.kept[passkey.credential_id] = passkey
        return self.world.factors._begin_epoch(passkey.account_id, notice)

    def _is_own(self, account_id, credential_id):
        kept = self.kept.get(credential_id)
        return kept is not None and kept.account_id == account_id

    async def rename(self, account_id, credentials_epoch, credential_id, name):
        if not self.world.people._stands(account_id, credentials_epoch):
            return False
        if self._is_own(account_id, credential_id):
            self.kept[credential_id] = replace(self.kept[credential_id], name=name)
        return True

    async def remove(self, account_id, credentials_epoch, credential_id, notice):
        if not self.world.people._stands(account_id, credentials_epoch):
            return None
        if not self._is_own(account_id, credential_id):
            return self.world.people.holders[account_id]
        del self.kept[credential_id]
        return self.world.factors._begin_epoch(account_id, notice)

    async def use(self, passkey, credentials_epoch, before):
        kept = self.kept.get(passkey.credential_id)
        stands = self.world.people._stands(passkey.account_id, credentials_epoch)
        if not stands or kept is None or kept.sign_count != before:
            return False
        self.kept[passkey.credential_id] = passkey
        return True

    async def note_counted_back(self, account_id, credentials_epoch):
        self.counted_back.append(account_id)


class MemoryCeremonies:
    """`accounts.ports.Ceremonies`."""

    def __init__(self, world):
        self.world = world
        self.kept = {}
        self.tries = {}
        self._ids = itertools.count()

    async def begin(self, ceremony):
        secret = f"ceremony-secret-{next(self._ids):04}"
        self.kept[secret] = (ceremony, self.world.now + LIVES[ceremony.purpose])
        self.tries[secret] = 0
        return secret

    async def find(self, secret, purpose):
        ceremony, ends_at = self.kept.get(secret, (None, None))
        if ceremony is None or ceremony.purpose is not purpose or self.world.now >= ends_at:
            return None
        return ceremony

    async def attempt(self, secret, purpose):
        ceremony = await self.find(secret, purpose)
        if ceremony is None:
            return None
        self.tries[secret] += 1
        return ceremony, self.tries[secret]

    async def take(self, secret, purpose):
        ceremony = await self.find(secret, purpose)
        self.kept.pop(secret, None)
        return ceremony

    async def end(self, secret):
        self.kept.pop(secret, None)
