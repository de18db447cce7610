"""Signs a person out of all browsers, or of all but one, by beginning a credentials epoch.

Each makes every node ask the database again, so how often is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts.ports import People, Sessions
from gateway.http.outcomes import SessionOver
from gateway.http.sessions import SignedIn, forget_sessions, go_on
from gateway.limits.velocity import epoch_uses, refuse
from gateway.ports import Velocity


@dataclass(frozen=True, slots=True)
class SignOut:
    """Ends sessions that began elsewhere. Raises TooFastError, StoreUnavailableError."""

    people: People
    sessions: Sessions
    velocity: Velocity

    async def end_others(self, who: SignedIn) -> str | SessionOver:
        """End all sessions of a person except the requesting one; return its new secret."""
        account_id, own_epoch = who.session.account_id, who.session.credentials_epoch
        refuse(await self.velocity.hit(epoch_uses(account_id, who.session.device_id)))
        holder = await self.people.end_sessions(account_id, own_epoch)
        if holder is None:
            return SessionOver()
        return await go_on(self.sessions, who, holder) or SessionOver()

    async def end_everywhere(self, who: SignedIn) -> None:
        """End all sessions of a person; does nothing if the requesting one is over."""
        account_id, own_epoch = who.session.account_id, who.session.credentials_epoch
        refuse(await self.velocity.hit(epoch_uses(account_id, who.session.device_id)))
        if await self.people.end_sessions(account_id, own_epoch) is not None:
            await forget_sessions(self.sessions, account_id)
