"""Changes the e-mail address: a new one takes effect once a link that was sent there is used.

Both addresses are notified; the old one can undo it. The link alone is not enough: the person who
reads the mailbox may have nothing to do with the account that requested the change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.address import parse_address
from accounts.errors import AddressError
from accounts.link import Link, Purpose, digest
from accounts.notice import Notice
from accounts.ports import AddressTakenError, People
from accounts.session import is_of_epoch, is_stepped_up
from accounts.sign_in import SignInAnswer, SignInEvent
from billing.clock import Clock
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.http.visitor import Visitor
from gateway.limits.velocity import proof_mail_uses, refuse
from gateway.people.links import LinkUsed
from gateway.people.password import LinkDead
from gateway.people.sign_in import NotYet, SignIn
from gateway.people.sign_up import LookIntoMail, address_known, verify_email
from gateway.ports import Velocity

ADDRESS_SAME = "address_same"


@dataclass(frozen=True, slots=True)
class AddressTaken:
    """The link is valid, but the address belongs to another account now; nothing has changed."""

    email: str


Taken = LinkUsed | LinkDead | AddressTaken
"""The result of a link that changes an address."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Changes and proves addresses.

    Raises TooFastError, HasherBusyError, StoreUnavailableError.
    """

    people: People
    velocity: Velocity
    clock: Clock
    sign_in: SignIn

    async def ask_for_change(
        self, who: SignedIn, email: str
    ) -> LookIntoMail | SessionOver | StepUpNeeded | Faults:
        """Send the link to a new address; the outcome does not reveal whether someone has it."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        try:
            address = parse_address(email)
        except AddressError as error:
            return Faults({"email": error.code})
        if address.key == parse_address(who.holder.email).key:
            return Faults({"email": ADDRESS_SAME})
        # Counted by both, so that one account cannot flood a mailbox, and many accounts cannot
        # flood one.
        own_uses = proof_mail_uses(who.holder.account_id)
        refuse(await self.velocity.hit([*own_uses, *proof_mail_uses(address.key)]))
        # Read before the other holder is looked up, so that success or failure reveals nothing
        # about them.
        own = await self.people.holder(who.session.account_id)
        if own is None or not is_of_epoch(who.session.credentials_epoch, own):
            return SessionOver()
        other = await self.people.holder_by_email(address.key)
        if other is not None:
            await self.people.tell(other.account_id, address_known(other.email))
            return LookIntoMail(address.text)
        notice = Notice(
            "change_address",
            address.text,
            link=Purpose.CHANGE_ADDRESS,
            reach=who.session.began_at,
        )
        is_queued = await self._notify(who, notice)
        return LookIntoMail(address.text) if is_queued else SessionOver()

    async def take_by_password(
        self, link_secret: str, password: str, visitor: Visitor
    ) -> Taken | NotYet:
        """Take the address of a link, for a person who knows the account's password.

        Anyone can request someone else's address; if its owner's click were enough, it would be
        proven for an account that is not theirs. A wrong password does not use the link up.
        """
        link = await self._find(link_secret)
        holder = await self.people.holder(link.account_id) if link is not None else None
        if link is None or holder is None:
            return LinkDead()
        own = parse_address(holder.email)
        name = digest(link_secret)
        event = await self.sign_in.judge(own, holder, password, visitor, link=name)
        if event is not SignInEvent.PASSWORD_RIGHT:
            return NotYet(SignInAnswer.WRONG)
        return await self._take(link_secret, link, holder.credentials_epoch, holder.email)

    async def take_signed_in(self, link_secret: str, who: SignedIn) -> Taken:
        """Take the address of a link, for a person signed in to the account that requested it."""
        link = await self._find(link_secret)
        if link is None or link.account_id != who.session.account_id:
            return LinkDead()
        epoch = who.session.credentials_epoch
        began_at = who.session.began_at
        return await self._take(link_secret, link, epoch, who.holder.email, reach=began_at)

    async def send_proof(self, who: SignedIn) -> LookIntoMail | SessionOver:
        """Send the link that proves the address again; nothing if it is proven already."""
        if not who.holder.is_proven:
            key = parse_address(who.holder.email).key
            refuse(await self.velocity.hit(proof_mail_uses(key)))
            if not await self._notify(who, verify_email(who.holder.email)):
                return SessionOver()
        return LookIntoMail(who.holder.email)

    async def _find(self, link_secret: str) -> Link | None:
        link = await self.people.look_at_link(digest(link_secret))
        if link is None or link.purpose is not Purpose.CHANGE_ADDRESS:
            return None
        return link if link.works(self.clock()) else None

    async def _take(
        self,
        link_secret: str,
        link: Link,
        credentials_epoch: int,
        before: str,
        *,
        reach: datetime | None = None,
    ) -> Taken:
        notice = Notice("address_changed", before, link=Purpose.UNDO_CHANGE, reach=reach)
        name, key = digest(link_secret), parse_address(link.email).key
        try:
            changed = await self.people.change_address(name, credentials_epoch, key, [notice])
        except AddressTakenError:
            return AddressTaken(link.email)
        return LinkDead() if changed is None else LinkUsed(link.purpose, link.email)

    async def _notify(self, who: SignedIn, notice: Notice) -> bool:
        session = who.session
        return await self.people.tell_signed_in(
            session.account_id, session.credentials_epoch, notice
        )
