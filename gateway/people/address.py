"""Asks for another e-mail address: it counts once a link that was sent there is used.

Both addresses are told; the old one can undo it. Knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts.address import parse_address
from accounts.errors import AddressError
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.ports import People
from accounts.session import is_of_epoch, is_stepped_up
from billing.clock import Clock
from gateway.limits.velocity import proof_mail_uses, refuse
from gateway.people.password import StepUpNeeded
from gateway.people.sessions import SessionOver, SignedIn
from gateway.people.sign_up import Faults, LookIntoMail, address_known, verify_email
from gateway.ports import Velocity

ADDRESS_SAME = "address_same"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Changes and proves addresses. Raises TooFastError, StoreUnavailableError."""

    people: People
    velocity: Velocity
    clock: Clock

    async def ask_for_change(
        self, who: SignedIn, email: str
    ) -> LookIntoMail | SessionOver | StepUpNeeded | Faults:
        """Send the link that takes another address; the outcome tells nothing of its owner."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        try:
            address = parse_address(email)
        except AddressError as error:
            return Faults({"email": error.code})
        if address.key == parse_address(who.holder.email).key:
            return Faults({"email": ADDRESS_SAME})
        # By both, so that one account fills no mailbox, and many accounts not one.
        own_uses = proof_mail_uses(who.holder.account_id)
        refuse(await self.velocity.hit([*own_uses, *proof_mail_uses(address.key)]))
        # Before the other is looked for, so that it tells nothing of them whether this goes on.
        own = await self.people.holder(who.session.account_id)
        if own is None or not is_of_epoch(who.session.credentials_epoch, own):
            return SessionOver()
        other = await self.people.holder_by_email(address.key)
        if other is not None:
            await self.people.tell(other.account_id, address_known(other.email))
            return LookIntoMail(address.text)
        notice = Notice("change_address", address.text, link=Purpose.CHANGE_ADDRESS)
        is_told = await self._tell(who, notice)
        return LookIntoMail(address.text) if is_told else SessionOver()

    async def send_proof(self, who: SignedIn) -> LookIntoMail | SessionOver:
        """Send the link that proves the address once more; nothing where it is proven."""
        if not who.holder.is_proven:
            key = parse_address(who.holder.email).key
            refuse(await self.velocity.hit(proof_mail_uses(key)))
            if not await self._tell(who, verify_email(who.holder.email)):
                return SessionOver()
        return LookIntoMail(who.holder.email)

    async def _tell(self, who: SignedIn, notice: Notice) -> bool:
        session = who.session
        return await self.people.tell_signed_in(
            session.account_id, session.credentials_epoch, notice
        )
