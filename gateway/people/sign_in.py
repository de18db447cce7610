"""Signs a person in, and lets a signed-in person prove again who they are.

`accounts.sign_in` has the table of steps. An unknown address takes the same work and gets the same
answer as a wrong password.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from accounts.address import EmailAddress, parse_address
from accounts.ceremony import Ceremony, CeremonyPurpose
from accounts.errors import AddressError
from accounts.holder import Device, Holder
from accounts.link import Purpose, digest
from accounts.notice import Notice
from accounts.ports import NOBODY, Ceremonies, PasswordHasher, People, SecondFactors, Sessions
from accounts.session import Session, is_of_epoch
from accounts.sign_in import (
    CODE_TRIES_MAX,
    SignInAnswer,
    SignInAttempt,
    SignInEvent,
    SignInState,
    advance,
)
from billing.clock import Clock
from gateway.http.outcomes import Faults
from gateway.http.sessions import SignedIn, forget_sessions
from gateway.http.visitor import NewSecret, Visitor, device_id, families_of, recognised
from gateway.limits.velocity import refuse, sign_in_uses, step_up_uses
from gateway.people.codes import Codes
from gateway.people.password import LinkDead
from gateway.ports import Velocity


@dataclass(frozen=True, slots=True)
class Welcome:
    """A session has begun."""

    session_secret: str = field(repr=False)
    device_secret: str = field(repr=False)
    """By which the browser is recognised next time."""
    answer: SignInAnswer = SignInAnswer.WELCOME


@dataclass(frozen=True, slots=True)
class NotYet:
    """No session has begun; the answer is all that the person may learn."""

    answer: SignInAnswer
    minutes_fast: int = 0
    """How far the app's clock is off, if that is the answer; negative: slow."""


@dataclass(frozen=True, slots=True)
class CodeNeeded:
    """The password was right; a code of the second factor is required."""

    ceremony_secret: str = field(repr=False)
    """With which this browser continues."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signs people in. Raises TooFastError, HasherBusyError, StoreUnavailableError."""

    people: People
    sessions: Sessions
    hasher: PasswordHasher
    velocity: Velocity
    clock: Clock
    new_secret: NewSecret
    factors: SecondFactors
    ceremonies: Ceremonies
    codes: Codes

    async def by_password(
        self, email: str, password: str, visitor: Visitor
    ) -> Welcome | NotYet | CodeNeeded | Faults:
        """Sign a person in with address and password."""
        try:
            address = parse_address(email)
        except AddressError as error:
            return Faults({"email": error.code})
        holder = await self.people.holder_by_email(address.key)
        event = await self.judge(address, holder, password, visitor)
        if event is not SignInEvent.PASSWORD_RIGHT or holder is None:
            return NotYet(advance(SignInAttempt(has_second_factor=False), event).answer)
        await self._rehash(holder, password)
        return await self.after_password(holder, visitor)

    async def by_proof(
        self, link_secret: str, password: str, visitor: Visitor
    ) -> Welcome | NotYet | CodeNeeded | LinkDead:
        """Prove an address by the link that was sent there and the account's password.

        Someone who only reads the mailbox has not created the account: without the password they
        would prove their address for someone else, who signed up with it and stays signed in
        (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022). So the link takes
        both, and ends all sessions except the new one. A wrong password does not use it up.
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
        own = parse_address(link.email)
        event = await self.judge(own, holder, password, visitor, link=digest(link_secret))
        if event is not SignInEvent.PASSWORD_RIGHT:
            return NotYet(advance(SignInAttempt(has_second_factor=False), event).answer)
        await self.check_ready(link.account_id)
        proven = await self.people.prove_address(digest(link_secret), holder.password_hash)
        if proven is None:
            return LinkDead()
        await forget_sessions(self.sessions, proven.account_id)
        await self._rehash(proven, password)
        return await self.after_password(proven, visitor)

    async def by_link(self, link_secret: str, visitor: Visitor) -> Welcome | NotYet | LinkDead:
        """Sign a person in with a link that replaces the password.

        It is one factor: a person with a second factor signs in with both, and the link is not used
        up.
        """
        link = await self.people.look_at_link(digest(link_secret))
        if link is None or link.purpose is not Purpose.SIGN_IN or not link.works(self.clock()):
            return LinkDead()
        has_second_factor = await self.factors.find(link.account_id) is not None
        attempt = advance(SignInAttempt(has_second_factor), SignInEvent.LINK_RIGHT)
        if attempt.state is not SignInState.SIGNED_IN:
            return NotYet(attempt.answer)
        await self.check_ready(link.account_id)
        holder = await self.people.use_sign_in_link(digest(link_secret))
        return LinkDead() if holder is None else await self.begin(holder, attempt, visitor)

    async def by_code(self, ceremony_secret: str, typed: str, visitor: Visitor) -> Welcome | NotYet:
        """Sign a person in who has given the password, and now gives a code.

        A try is counted before the code is checked, so that parallel tries get no extra ones.
        """
        found = await self.ceremonies.attempt(ceremony_secret, CeremonyPurpose.CODE)
        if found is None or found[1] > CODE_TRIES_MAX:
            return NotYet(SignInAnswer.BEGIN_AGAIN)
        ceremony, tries = found
        holder = await self.people.holder(ceremony.account_id)
        if holder is None or not is_of_epoch(ceremony.credentials_epoch, holder):
            await self.ceremonies.end(ceremony_secret)
            return NotYet(SignInAnswer.BEGIN_AGAIN)
        judged = await self.codes.judge(holder, typed, visitor, by_link=ceremony.by_link)
        # The attempt after the password and the codes before this one.
        asked = advance(SignInAttempt(has_second_factor=True), SignInEvent.PASSWORD_RIGHT)
        attempt = advance(replace(asked, wrong_codes=tries - 1), judged.event)
        if attempt.state is SignInState.NEEDS_SECOND_FACTOR:
            return NotYet(attempt.answer, judged.minutes_fast)
        await self.ceremonies.end(ceremony_secret)
        if attempt.state is not SignInState.SIGNED_IN:
            await self.people.tell(holder.account_id, wrong_codes(holder.email, self.clock()))
            return NotYet(attempt.answer)
        return await self.begin(holder, attempt, visitor)

    async def is_asked_for_code(self, ceremony_secret: str) -> bool:
        """Return whether this browser has given a password and must give a code."""
        return await self.ceremonies.find(ceremony_secret, CeremonyPurpose.CODE) is not None

    async def needs_code(self, who: SignedIn) -> bool:
        """Return whether a person also needs a code to prove who they are."""
        return await self.factors.find(who.session.account_id) is not None

    async def confirm(
        self, who: SignedIn, password: str, code: str, visitor: Visitor
    ) -> str | NotYet:
        """Check the proofs of a sign-in again; return the session's new secret.

        Its id changes with its privileges (OWASP Session Management Cheat Sheet).
        """
        # Counted for the session's device only: no one else can use up its tries.
        uses = step_up_uses(who.session.account_id, who.session.device_id)
        refuse(await self.velocity.hit(uses))
        if not await self.hasher.verify(password, who.holder.password_hash):
            return NotYet(SignInAnswer.WRONG)
        attempt = SignInAttempt(has_second_factor=await self.needs_code(who))
        attempt, judged = advance(attempt, SignInEvent.PASSWORD_RIGHT), None
        if attempt.state is SignInState.NEEDS_SECOND_FACTOR:
            began_at = who.session.began_at
            judged = await self.codes.judge(who.holder, code, visitor, reach=began_at)
            attempt = advance(attempt, judged.event)
        if attempt.state is not SignInState.SIGNED_IN:
            return NotYet(attempt.answer, judged.minutes_fast if judged else 0)
        return await self.step_up(who, attempt)

    async def step_up(self, who: SignedIn, attempt: SignInAttempt) -> str | NotYet:
        """Continue a session that has proven itself again; return its new secret."""
        at = self.clock()
        methods = who.session.methods | attempt.methods
        proven = replace(who.session, authenticated_at=at, seen_at=at, methods=methods)
        secret = await self.sessions.rotate(who.secret, proven)
        return NotYet(SignInAnswer.BEGIN_AGAIN) if secret is None else secret

    async def check_ready(self, account_id: str) -> None:
        """Raise StoreUnavailableError if no session could begin.

        Checked before a link is used up: it works once, and a person who is asked to try again
        later must be able to.
        """
        await self.sessions.of_account(account_id)

    async def after_password(
        self, holder: Holder, visitor: Visitor, *, by_link: bool = False
    ) -> Welcome | NotYet | CodeNeeded:
        """Continue after a person has given the password, or has just set it by a link."""
        has_second_factor = await self.factors.find(holder.account_id) is not None
        attempt = advance(SignInAttempt(has_second_factor), SignInEvent.PASSWORD_RIGHT)
        if attempt.state is SignInState.NEEDS_SECOND_FACTOR:
            ceremony = Ceremony(
                CeremonyPurpose.CODE,
                holder.account_id,
                holder.credentials_epoch,
                by_link=by_link,
            )
            return CodeNeeded(await self.ceremonies.begin(ceremony))
        return await self.begin(holder, attempt, visitor)

    async def judge(
        self,
        address: EmailAddress,
        holder: Holder | None,
        password: str,
        visitor: Visitor,
        *,
        link: str = "",
    ) -> SignInEvent:
        """Return what a password proves for an address, whose holder is None if unknown.

        It is counted as a try for account and place, or for a device that was signed in to the
        account before. A try with a link (its digest) counts for the link instead of the account.
        """
        # Read for unknown accounts too: the timing must not reveal whether there is one.
        devices = await self.people.devices(holder.account_id if holder else NOBODY)
        own, key = recognised(visitor, devices), f"{address.key} {link}" if link else address.key
        refuse(await self.velocity.hit(sign_in_uses(key, own, visitor.address)))
        is_right = await self.hasher.verify(password, holder.password_hash if holder else "")
        if holder is None:
            return SignInEvent.UNKNOWN_ADDRESS
        if not is_right:
            return SignInEvent.PASSWORD_WRONG
        return SignInEvent.PASSWORD_RIGHT if holder.locked_at is None else SignInEvent.LOCKED

    async def _rehash(self, holder: Holder, password: str) -> None:
        if self.hasher.is_outdated(holder.password_hash):
            stronger = await self.hasher.hash(password)
            await self.people.rehash(holder.account_id, holder.password_hash, stronger)

    async def begin(
        self, holder: Holder, attempt: SignInAttempt, visitor: Visitor
    ) -> Welcome | NotYet:
        """Note the device, and begin a session under a new id, never one that a browser sent."""
        at = self.clock()
        # Reused only if it is known for this very account. Any other may have been planted by
        # someone who wants to be recognised as this device from elsewhere.
        is_known = recognised(visitor, await self.people.devices(holder.account_id))
        device_secret = visitor.device_secret if is_known else self.new_secret()
        browser, system = await families_of(visitor)
        device = Device(device_id(device_secret), browser, system, at, at, visitor.country)
        notice = new_device(
            holder.email, device, country=visitor.country_names.get(holder.language, "")
        )
        await self.people.note_device(holder.account_id, device, notice)
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
        # A new epoch since the password was checked has ended all sessions, but perhaps before this
        # one existed.
        now = await self.people.holder(holder.account_id)
        if now is None or not is_of_epoch(session.credentials_epoch, now):
            await self.sessions.end(secret)
            return NotYet(SignInAnswer.BEGIN_AGAIN)
        return Welcome(secret, device_secret, attempt.answer)


def new_device(email: str, device: Device, *, country: str = "") -> Notice:
    """Return the mail about a sign-in from an unknown device.

    `country` is where it was, in the language of the mail; empty if unknown.
    """
    return Notice(
        "new_device",
        email,
        {
            "browser": device.browser,
            "system": device.system,
            "at": device.first_seen_at.isoformat(),
            "country": country,
        },
        link=Purpose.NOT_ME,
    )


def wrong_codes(email: str, at: datetime) -> Notice:
    """Return the mail about many wrong codes after a right password, once a day."""
    return Notice(
        "wrong_codes",
        email,
        {"at": at.isoformat()},
        link=Purpose.NOT_ME,
        once=f"wrong codes {at.date()}",
    )
