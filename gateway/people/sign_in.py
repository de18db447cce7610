"""Signs a person in and lets them prove once more who they are.

What follows from what is `accounts.sign_in`'s table. An address that nobody has takes the same work
and gets the same answer as a wrong password. Knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from accounts.address import EmailAddress, parse_address
from accounts.device import families
from accounts.errors import AddressError
from accounts.holder import Device, Holder
from accounts.link import Purpose, digest
from accounts.notice import Notice
from accounts.ports import NOBODY, PasswordHasher, People, Sessions
from accounts.session import Session, is_of_epoch
from accounts.sign_in import Answer, Attempt, Event, State, advance
from billing.clock import Clock
from gateway.limits.velocity import refuse, sign_in_uses
from gateway.people.password import LinkDead
from gateway.people.sessions import SignedIn, forget_sessions
from gateway.people.sign_up import Faults
from gateway.people.visitor import NewSecret, Visitor, device_id, recognised
from gateway.ports import Velocity


@dataclass(frozen=True, slots=True)
class Welcome:
    """A session has begun."""

    session_secret: str = field(repr=False)
    device_secret: str = field(repr=False)
    """By which the browser is recognised when it comes again."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """No session has begun; the answer is all that may be told."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signs people in. Raises TooFastError, HasherBusyError, StoreUnavailableError."""

    people: People
    sessions: Sessions
    hasher: PasswordHasher
    velocity: Velocity
    clock: Clock
    new_secret: NewSecret

    async def by_password(
        self, email: str, password: str, visitor: Visitor
    ) -> Welcome | NotYet | Faults:
        """Sign a person in who gives address and password."""
        try:
            address = parse_address(email)
        except AddressError as error:
            return Faults({"email": error.code})
        holder = await self.people.holder_by_email(address.key)
        event = await self.judge(address, holder, password, visitor)
        # No holder has a second factor yet; one that has stays in NEEDS_SECOND_FACTOR here.
        attempt = advance(Attempt(has_second_factor=False), event)
        if attempt.state is not State.SIGNED_IN or holder is None:
            return NotYet(attempt.answer)
        await self._rehash(holder, password)
        return await self._begin(holder, attempt, visitor)

    async def by_proof(
        self, link_secret: str, password: str, visitor: Visitor
    ) -> Welcome | NotYet | LinkDead:
        """Prove an address by the link that was sent there and the account's password.

        Whoever only reads the mailbox has not made the account: without the password they would
        prove their address for somebody else, who signed up with it and stays signed in (Sudhodanan
        and Paverd, "Pre-hijacked accounts", USENIX Security 2022). So the link takes both, and ends
        all sessions but the one that begins. A wrong password does not use it up.
        """
        link = await self.people.look_at_link(digest(link_secret))
        if (
            link is None
            or link.purpose is not Purpose.PROVE_ADDRESS
            or not link.works(self.clock())
        ):
            return LinkDead()
        holder = await self.people.holder(link.account_id)
        if holder is None:
            return LinkDead()
        event = await self.judge(parse_address(link.email), holder, password, visitor)
        attempt = advance(Attempt(has_second_factor=False), event)
        if attempt.state is not State.SIGNED_IN:
            return NotYet(attempt.answer)
        proven = await self.people.prove_address(digest(link_secret), holder.password_hash)
        if proven is None:
            return LinkDead()
        await forget_sessions(self.sessions, proven.account_id)
        await self._rehash(proven, password)
        return await self._begin(proven, attempt, visitor)

    async def confirm(self, who: SignedIn, password: str, visitor: Visitor) -> str | NotYet:
        """Take a password once more from who is signed in; return the session's new secret.

        Its id changes with what it may do (OWASP Session Management Cheat Sheet).
        """
        # A session is a device that is recognised: nobody else can use up its tries.
        key = parse_address(who.holder.email).key
        uses = sign_in_uses(key, who.session.device_id, visitor.address)
        refuse(await self.velocity.hit(uses))
        if not await self.hasher.verify(password, who.holder.password_hash):
            return NotYet(Answer.WRONG)
        at = self.clock()
        proven = replace(who.session, authenticated_at=at, seen_at=at)
        secret = await self.sessions.rotate(who.secret, proven)
        return NotYet(Answer.BEGIN_AGAIN) if secret is None else secret

    async def judge(
        self, address: EmailAddress, holder: Holder | None, password: str, visitor: Visitor
    ) -> Event:
        """Return what a password says of an address, whose holder is None for nobody.

        It is counted as a try for account and place, or for a device that was signed in to the
        account before.
        """
        # Asked for nobody's account too: the time must not tell whether there is one.
        devices = await self.people.devices(holder.account_id if holder else NOBODY)
        own = recognised(visitor, devices)
        refuse(await self.velocity.hit(sign_in_uses(address.key, own, visitor.address)))
        is_right = await self.hasher.verify(password, holder.password_hash if holder else "")
        if holder is None:
            return Event.UNKNOWN_ADDRESS
        if not is_right:
            return Event.PASSWORD_WRONG
        return Event.PASSWORD_RIGHT if holder.locked_at is None else Event.LOCKED

    async def _rehash(self, holder: Holder, password: str) -> None:
        if self.hasher.is_outdated(holder.password_hash):
            stronger = await self.hasher.hash(password)
            await self.people.rehash(holder.account_id, holder.password_hash, stronger)

    async def _begin(self, holder: Holder, attempt: Attempt, visitor: Visitor) -> Welcome | NotYet:
        """Note the device, and begin a session under an id that no browser has brought."""
        at = self.clock()
        device_secret = visitor.device_secret or self.new_secret()
        browser, system = families(visitor.user_agent)
        device = Device(device_id(device_secret), browser, system, at, at)
        await self.people.note_device(holder.account_id, device, new_device(holder.email, device))
        session = Session(
            account_id=holder.account_id,
            device_id=device.id,
            methods=attempt.methods,
            credentials_epoch=holder.credentials_epoch,
            began_at=at,
            seen_at=at,
            authenticated_at=at,
        )
        secret = await self.sessions.begin(session)
        # Whoever began another epoch since the password was looked at has ended all sessions, but
        # maybe before this one was there.
        now = await self.people.holder(holder.account_id)
        if now is None or not is_of_epoch(session.credentials_epoch, now):
            await self.sessions.end(secret)
            return NotYet(Answer.BEGIN_AGAIN)
        return Welcome(secret, device_secret)


def new_device(email: str, device: Device) -> Notice:
    """Return the mail that tells of a sign-in with a device that was not known."""
    return Notice(
        "new_device",
        email,
        {
            "browser": device.browser,
            "system": device.system,
            "at": device.first_seen_at.isoformat(),
        },
        link=Purpose.NOT_ME,
    )
