"""Composes who may supervise calls: grants, the rules of accounts, and the rights behind both."""

from __future__ import annotations

from dataclasses import dataclass

from billing.clock import Clock, utc_now
from gateway.call.supervision import Grant, Mode, Rule
from gateway.errors import RequestRefusedError
from gateway.http.holders import Holders
from gateway.ports import AccountStore
from gateway.scopes import Scope
from gateway.stores.opened import Stores
from gateway.supervision.store import RedisGrants, SqlSupervision


@dataclass(frozen=True, slots=True)
class StandingGrants:
    """`gateway.calls.supervision.Grants`: a grant is only valid while the rights behind it are."""

    grants: RedisGrants
    rules: SqlSupervision
    accounts: AccountStore
    holders: Holders | None
    clock: Clock

    async def redeem(self, token: str) -> Grant | None:
        """Return the grant of a token and delete it."""
        return await self.grants.redeem(token)

    async def rule(self, grant: Grant) -> Rule:
        """Return what the account allows now.

        Raises RequestRefusedError if the key or the session is over, or may no longer supervise.
        """
        if refusal := await self._refusal(grant):
            raise RequestRefusedError(refusal)
        return await self.rules.rule(grant.account_id)

    async def _refusal(self, grant: Grant) -> str:
        if grant.credentials_epoch is not None:
            goes_on = await self._goes_on(grant, grant.credentials_epoch)
            return "" if goes_on else "unauthorized"
        keyed = await self.accounts.account_by_key_id(grant.key_id)
        if keyed is None or keyed.is_locked:
            return "unauthorized"
        if keyed.key_expires_at is not None and keyed.key_expires_at <= self.clock():
            return "unauthorized"
        if not grant.operator and keyed.id != grant.account_id:
            return "unauthorized"
        needed = Scope.ADMIN if grant.operator else Scope.SUPERVISE
        return "" if needed in keyed.scopes else "scope_missing"

    async def _goes_on(self, grant: Grant, credentials_epoch: int) -> bool:
        """Return whether the holder may call, and the session that asked is still valid."""
        if self.holders is None or grant.session_began_at is None:
            return False
        if await self.holders.caller(grant.account_id, credentials_epoch) is None:
            return False
        session = grant.account_id, grant.device_id, grant.session_began_at
        return await self.holders.goes_on(*session)

    async def note(self, grant: Grant, mode: Mode) -> None:
        """Record in the audit log what is about to be done."""
        await self.rules.note(grant, mode)


def compose_grants(stores: Stores, holders: Holders | None) -> StandingGrants:
    """Return the grants of a node."""
    rules = SqlSupervision(stores.engine)
    return StandingGrants(RedisGrants(stores.redis), rules, stores.accounts, holders, utc_now)
