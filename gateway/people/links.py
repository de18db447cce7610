"""Shows and uses the links in mails. Mail scanners open links: only a button's POST uses one.

Knows no HTTP. Links that take a password too are used elsewhere: by `password`, which resets it,
and `sign_in`, which proves an address.
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts.address import parse_address
from accounts.link import Link, Purpose, digest
from accounts.notice import Notice
from accounts.ports import AddressTakenError, People, Sessions
from billing.clock import Clock
from gateway.people.password import LinkDead
from gateway.people.sessions import forget_sessions


@dataclass(frozen=True, slots=True)
class LinkUsed:
    """A link has done what it was for."""

    purpose: Purpose
    email: str


@dataclass(frozen=True, slots=True)
class AddressTaken:
    """The link is good, but the address belongs to another account now; nothing has changed."""

    email: str


@dataclass(frozen=True, slots=True)
class Links:
    """Links that one click uses. Every method raises StoreUnavailableError."""

    people: People
    sessions: Sessions
    clock: Clock

    async def look(self, secret: str) -> Link | None:
        """Return a link that works, without using it."""
        link = await self.people.look_at_link(digest(secret))
        return link if link is not None and link.works(self.clock()) else None

    async def use(self, secret: str) -> LinkUsed | LinkDead | AddressTaken:
        """Use a link once."""
        link = await self.look(secret)
        if link is None:
            return LinkDead()
        name = digest(secret)
        match link.purpose:
            case Purpose.CHANGE_ADDRESS:
                try:
                    has_worked = await self._change(name, link)
                except AddressTakenError:
                    return AddressTaken(link.email)
            case Purpose.UNDO_CHANGE:
                has_worked = await self._undo(name, link)
            case Purpose.NOT_ME:
                has_worked = await self._lock(name, link)
            case Purpose.RESET_PASSWORD | Purpose.PROVE_ADDRESS:
                # They take a password too, and must not be used up without one.
                has_worked = False
        return LinkUsed(link.purpose, link.email) if has_worked else LinkDead()

    async def _change(self, name: str, link: Link) -> bool:
        before = await self.people.holder(link.account_id)
        if before is None:
            return False
        told = Notice("address_changed", before.email, link=Purpose.UNDO_CHANGE)
        key = parse_address(link.email).key
        return await self.people.change_address(name, key, [told]) is not None

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
    """Return the mail that tells how to get back in."""
    return Notice("locked", email, link=Purpose.RESET_PASSWORD)
