"""Shows and uses the links in mails. Mail scanners open links, so only a button's POST uses one.

Links that take more than a click are used elsewhere: by `password`, which resets it, `sign_in`,
which proves an address or begins a session, and `address`, which changes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts.address import parse_address
from accounts.link import Link, Purpose, digest
from accounts.notice import Notice
from accounts.ports import People, Sessions
from billing.clock import Clock
from gateway.http.sessions import forget_sessions
from gateway.http.visitor import Visitor
from gateway.limits.velocity import refuse, wrong_link_uses
from gateway.people.leaving import Leaving, Stays
from gateway.people.password import LinkDead
from gateway.ports import Velocity


@dataclass(frozen=True, slots=True)
class LinkUsed:
    """A link has done its job."""

    purpose: Purpose
    email: str


@dataclass(frozen=True, slots=True)
class Links:
    """Links that one click uses. Every method raises StoreUnavailableError."""

    people: People
    sessions: Sessions
    velocity: Velocity
    clock: Clock
    leaving: Leaving | None = None
    """None if people cannot leave by themselves."""

    async def look(self, secret: str, visitor: Visitor) -> Link | None:
        """Return a valid link, without using it.

        Raises TooFastError after too many invalid ones.
        """
        uses = wrong_link_uses(visitor.address)
        # Checks without counting, so that valid links use nothing up.
        refuse(await self.velocity.look(uses))
        link = await self._find(secret)
        if link is None:
            refuse(await self.velocity.hit(uses))
        return link

    async def use(self, secret: str) -> LinkUsed | LinkDead:
        """Use a link once."""
        link = await self._find(secret)
        if link is None:
            return LinkDead()
        name = digest(secret)
        match link.purpose:
            case Purpose.UNDO_CHANGE:
                has_worked = await self._undo(name, link)
            case Purpose.NOT_ME:
                has_worked = await self._lock(name, link)
            case Purpose.CANCEL_DELETION:
                has_worked = self.leaving is not None and isinstance(
                    await self.leaving.cancel_by_link(secret), Stays
                )
            case (
                Purpose.RESET_PASSWORD
                | Purpose.PROVE_ADDRESS
                | Purpose.CHANGE_ADDRESS
                | Purpose.SIGN_IN
            ):
                # These also need a proof or begin a session, and must not be used up without it.
                has_worked = False
        return LinkUsed(link.purpose, link.email) if has_worked else LinkDead()

    async def stays_frozen(self, account_id: str) -> bool:
        """Return whether an account that is kept after all stays frozen for another reason."""
        return self.leaving is not None and await self.leaving.stays_frozen(account_id)

    async def _find(self, secret: str) -> Link | None:
        link = await self.people.look_at_link(digest(secret))
        return link if link is not None and link.works(self.clock()) else None

    async def _undo(self, name: str, link: Link) -> bool:
        key = parse_address(link.email).key
        if await self.people.undo_change(name, key, locked(link.email)) is None:
            return False
        await forget_sessions(self.sessions, link.account_id)
        return True

    async def _lock(self, name: str, link: Link) -> bool:
        if await self.people.lock(name, locked(link.email)) is None:
            return False
        await forget_sessions(self.sessions, link.account_id)
        return True


def locked(email: str) -> Notice:
    """Return the mail that says how to get back in."""
    return Notice("locked", email, link=Purpose.RESET_PASSWORD)
