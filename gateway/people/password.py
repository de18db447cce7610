"""Sets a new password, by a link in a mail or for a signed-in person.

Every change ends all sessions except the one that made it, and notifies the holder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from accounts.address import parse_address
from accounts.errors import AddressError
from accounts.holder import Holder
from accounts.link import Purpose, digest
from accounts.notice import Notice
from accounts.ports import NOBODY, PasswordHasher, People, Sessions
from accounts.session import is_stepped_up
from billing.clock import Clock
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn, forget_sessions, go_on
from gateway.http.visitor import Visitor, recognised
from gateway.limits.velocity import epoch_uses, refuse, reset_uses
from gateway.people.answer_moment import AnswerMoment
from gateway.people.password_policy import PasswordPolicy
from gateway.people.sign_up import LookIntoMail
from gateway.ports import Velocity


@dataclass(frozen=True, slots=True)
class PasswordSet:
    """The password was changed."""

    session_secret: str = field(default="", repr=False)
    """Of the session that goes on; empty if the person has to sign in."""


@dataclass(frozen=True, slots=True)
class LinkDead:
    """The link was used, has expired, or never existed."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """Changes passwords. Raises TooFastError, HasherBusyError, StoreUnavailableError."""

    people: People
    sessions: Sessions
    hasher: PasswordHasher
    policy: PasswordPolicy
    velocity: Velocity
    clock: Clock
    moment: AnswerMoment

    async def ask_for_reset(self, email: str, visitor: Visitor) -> LookIntoMail | Faults:
        """Send the link that resets a password; the outcome is the same for every address."""
        async with self.moment.fixed():
            return await self._ask_for_reset(email, visitor)

    async def _ask_for_reset(self, email: str, visitor: Visitor) -> LookIntoMail | Faults:
        try:
            address = parse_address(email)
        except AddressError as error:
            return Faults({"email": error.code})
        holder = await self.people.holder_by_email(address.key)
        account_id = holder.account_id if holder else NOBODY
        devices = await self.people.devices(account_id)
        uses = reset_uses(address.key, recognised(visitor, devices), visitor.address)
        refuse(await self.velocity.hit(uses))
        # To the address as its holder wrote it, not as someone else has just typed it.
        recipient = holder.email if holder else address.text
        notice = Notice("reset_password", recipient, link=Purpose.RESET_PASSWORD)
        await self.people.tell(account_id, notice)
        return LookIntoMail(address.text)

    async def reset(
        self, link_secret: str, password: str, language: str = ""
    ) -> Holder | LinkDead | Faults:
        """Use a link: set the password, unlock, and end all sessions; return the holder after it.

        `language` is the reader's; it becomes the account's if no one had proven the address
        before.
        """
        link = await self.people.look_at_link(digest(link_secret))
        # Checked first: a refused password must not use the link up.
        if (
            link is None
            or link.purpose is not Purpose.RESET_PASSWORD
            or not link.works(self.clock())
        ):
            return LinkDead()
        if code := await self.policy.fault(password, link.email):
            return Faults({"password": code})
        password_hash = await self.hasher.hash(password)
        notice = password_changed(link.email)
        holder = await self.people.reset_password(
            digest(link_secret), password_hash, notice, language
        )
        if holder is None:
            return LinkDead()
        await forget_sessions(self.sessions, holder.account_id)
        return holder

    async def change(
        self, who: SignedIn, password: str
    ) -> PasswordSet | SessionOver | StepUpNeeded | Faults:
        """Set the signed-in person's password, and end their other sessions."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        if code := await self.policy.fault(password, who.holder.email):
            return Faults({"password": code})
        refuse(await self.velocity.hit(epoch_uses(who.session.account_id, who.session.device_id)))
        holder = await self.people.set_password(
            who.session.account_id,
            who.session.credentials_epoch,
            await self.hasher.hash(password),
            password_changed(who.holder.email, reach=who.session.began_at),
        )
        if holder is None:
            return SessionOver()
        return PasswordSet(await go_on(self.sessions, who, holder))


def password_changed(email: str, *, reach: datetime | None = None) -> Notice:
    """Return the mail about a new password; a reset adds the names of what stays."""
    return Notice("password_changed", email, link=Purpose.NOT_ME, reach=reach)
