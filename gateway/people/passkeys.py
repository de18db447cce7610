"""Adds, renames and removes passkeys, and signs in with one alone, because it is both factors.

An unknown passkey, and one of a deleted or locked account, get the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from accounts.ceremony import Ceremony, CeremonyPurpose
from accounts.holder import Holder
from accounts.link import Purpose as LinkPurpose
from accounts.notice import Notice
from accounts.passkey import Passkey, has_counted_back, is_copied, read_name
from accounts.ports import (
    Ceremonies,
    PasskeyTakenError,
    People,
    Sessions,
    TooManyPasskeysError,
)
from accounts.ports import PasskeyBook as PasskeyStore
from accounts.session import is_stepped_up
from accounts.sign_in import SignInAnswer, SignInAttempt, SignInEvent, advance
from billing.clock import Clock
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn, go_on
from gateway.http.visitor import Visitor, families_of
from gateway.limits.velocity import challenge_uses, epoch_uses, refuse
from gateway.people.enrolment import Changed
from gateway.people.passkey_proofs import (
    CHALLENGE_BYTES,
    PasskeyProofs,
    claimed,
    creation_options,
    request_options,
)
from gateway.people.sign_in import NotYet, SignIn, Welcome
from gateway.ports import Velocity

PASSKEY_WRONG: Final = "passkey_new_wrong"
PASSKEY_KNOWN: Final = "passkey_known"
PASSKEYS_MANY: Final = "passkeys_many"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a browser lets a passkey sign."""

    ceremony_secret: str = field(repr=False)
    """With which its answer is accepted, once."""
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Passkeys:
    """The passkeys of people. Raises TooFastError, HasherBusyError, StoreUnavailableError."""

    people: People
    passkeys: PasskeyStore
    sessions: Sessions
    ceremonies: Ceremonies
    sign_in: SignIn
    proofs: PasskeyProofs
    velocity: Velocity
    clock: Clock
    chance: Callable[[int], bytes]

    @property
    def is_offered(self) -> bool:
        """Whether the host of our pages can have passkeys."""
        return bool(self.proofs.party.id)

    async def current(self, who: SignedIn) -> Sequence[Passkey]:
        """Return the signed-in person's passkeys, the newest first."""
        return await self.passkeys.of_account(who.session.account_id)

    async def challenge(self, visitor: Visitor) -> Challenge:
        """Return a challenge for any passkey that a browser has."""
        refuse(await self.velocity.hit(challenge_uses(visitor.address)))
        challenge = self.chance(CHALLENGE_BYTES)
        secret = await self.ceremonies.begin(Ceremony(CeremonyPurpose.PASSKEY, payload=challenge))
        return Challenge(secret, request_options(self.proofs.party, challenge))

    async def enter(self, ceremony_secret: str, answer: str, visitor: Visitor) -> Welcome | NotYet:
        """Sign in a person who has a passkey and has unlocked it."""
        used = await self._use(ceremony_secret, answer, needs_handle=True)
        if isinstance(used, NotYet):
            return used
        attempt = advance(SignInAttempt(has_second_factor=False), SignInEvent.PASSKEY_RIGHT)
        return await self.sign_in.begin(used, attempt, visitor)

    async def confirm(self, who: SignedIn, ceremony_secret: str, answer: str) -> str | NotYet:
        """Check a passkey again for a signed-in person; return the session's new secret."""
        used = await self._use(ceremony_secret, answer, of=who.session.account_id)
        if isinstance(used, NotYet):
            return used
        attempt = advance(SignInAttempt(has_second_factor=False), SignInEvent.PASSKEY_RIGHT)
        return await self.sign_in.step_up(who, attempt)

    async def begin(self, who: SignedIn) -> Challenge | StepUpNeeded:
        """Return the challenge for a new passkey."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        account_id, challenge = who.session.account_id, self.chance(CHALLENGE_BYTES)
        known = [each.credential_id for each in await self.current(who)]
        secret = await self.ceremonies.begin(
            Ceremony(
                CeremonyPurpose.NEW_PASSKEY, account_id, who.session.credentials_epoch, challenge
            )
        )
        party, email = self.proofs.party, who.holder.email
        options = creation_options(party, account_id, email, challenge, known)
        return Challenge(secret, options)

    async def add(
        self, who: SignedIn, ceremony_secret: str, answer: str, name: str, visitor: Visitor
    ) -> Changed | SessionOver | StepUpNeeded | Faults:
        """Add the passkey that a browser has created, and end all other sessions."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        account_id, epoch = who.session.account_id, who.session.credentials_epoch
        ceremony = await self.ceremonies.take(ceremony_secret, CeremonyPurpose.NEW_PASSKEY)
        if ceremony is None or (ceremony.account_id, ceremony.credentials_epoch) != (
            account_id,
            epoch,
        ):
            return Faults({"passkey": PASSKEY_WRONG})
        new = await self.proofs.new_key(answer, ceremony.payload)
        if new is None:
            return Faults({"passkey": PASSKEY_WRONG})
        refuse(await self.velocity.hit(epoch_uses(account_id, who.session.device_id)))
        passkey = Passkey(
            credential_id=new.credential_id,
            account_id=account_id,
            public_key=new.public_key,
            sign_count=new.sign_count,
            name=read_name(name) or ", ".join(filter(None, await families_of(visitor))),
            is_synced=new.is_synced,
            is_backed_up=new.is_backed_up,
            added_at=self.clock(),
        )
        notice = _notice("passkey_added", who)
        try:
            holder = await self.passkeys.add(passkey, epoch, notice)
        except PasskeyTakenError:
            return Faults({"passkey": PASSKEY_KNOWN})
        except TooManyPasskeysError:
            return Faults({"passkey": PASSKEYS_MANY})
        return await self._go_on(who, holder)

    async def rename(self, who: SignedIn, credential_id: str, name: str) -> SessionOver | None:
        """Rename a passkey; does nothing for one that was removed."""
        is_done = await self.passkeys.rename(
            who.session.account_id,
            who.session.credentials_epoch,
            credential_id,
            read_name(name),
        )
        return None if is_done else SessionOver()

    async def remove(
        self, who: SignedIn, credential_id: str
    ) -> Changed | SessionOver | StepUpNeeded:
        """Remove a passkey, and end all other sessions: some may have begun with it."""
        if not is_stepped_up(who.session, self.clock()):
            return StepUpNeeded()
        refuse(await self.velocity.hit(epoch_uses(who.session.account_id, who.session.device_id)))
        notice = _notice("passkey_removed", who)
        holder = await self.passkeys.remove(
            who.session.account_id, who.session.credentials_epoch, credential_id, notice
        )
        if holder is not None and holder.credentials_epoch == who.session.credentials_epoch:
            # It was gone already: nothing has changed, and no one is signed out.
            return Changed(who.secret)
        return await self._go_on(who, holder)

    async def _use(
        self, ceremony_secret: str, answer: str, *, of: str = "", needs_handle: bool = False
    ) -> Holder | NotYet:
        """Return the holder whose passkey has signed the challenge.

        Args:
            ceremony_secret: Of the challenge, which ends with this.
            answer: JSON from the browser.
            of: The account that the passkey must belong to; empty for any.
            needs_handle: Whether the passkey must name its owner itself (7.2, step 6).
        """
        ceremony = await self.ceremonies.take(ceremony_secret, CeremonyPurpose.PASSKEY)
        if ceremony is None:
            return NotYet(SignInAnswer.BEGIN_AGAIN)
        attempt = SignInAttempt(has_second_factor=False)
        wrong = NotYet(advance(attempt, SignInEvent.PASSKEY_WRONG).answer)
        claim = claimed(answer)
        passkey = await self.passkeys.find(claim.credential_id) if claim else None
        if claim is None or passkey is None:
            return wrong
        account_id = passkey.account_id
        signed = await self.proofs.signed(answer, ceremony.payload, passkey.public_key)
        # Always looked up: the timing must not reveal whether an account is gone or locked.
        holder = await self.people.holder(account_id)
        has_handle = claim.user_handle == account_id.encode()
        if signed is None or not (has_handle or (not needs_handle and not claim.user_handle)):
            return wrong
        if holder is None or holder.locked_at is not None or of not in {"", account_id}:
            return wrong
        epoch = holder.credentials_epoch
        if has_counted_back(passkey, signed.sign_count):
            await self.passkeys.note_counted_back(account_id, epoch)
        if is_copied(passkey, signed.sign_count):
            return wrong
        used = replace(
            passkey,
            sign_count=signed.sign_count,
            is_backed_up=signed.is_backed_up,
            used_at=self.clock(),
        )
        is_first = await self.passkeys.use(used, epoch, before=passkey.sign_count)
        return holder if is_first else wrong

    async def _go_on(self, who: SignedIn, holder: Holder | None) -> Changed | SessionOver:
        if holder is None:
            return SessionOver()
        secret = await go_on(self.sessions, who, holder)
        return Changed(secret) if secret else SessionOver()


def _notice(name: str, who: SignedIn) -> Notice:
    return Notice(name, who.holder.email, link=LinkPurpose.NOT_ME, reach=who.session.began_at)
