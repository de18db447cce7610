"""Signs a person up without revealing whether an address is known.

A known address gets the same outcome after the same work, and a different mail.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from accounts.address import EmailAddress, parse_address
from accounts.consent import HISTORY, History, current
from accounts.errors import AddressError
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.ports import NOBODY, NewHolder, PasswordHasher, People
from gateway.http.outcomes import Faults
from gateway.http.visitor import NewSecret, Visitor
from gateway.limits.velocity import proof_mail_uses, refuse, sign_up_uses
from gateway.people.answer_moment import AnswerMoment
from gateway.people.password_policy import PasswordPolicy
from gateway.ports import Velocity

ADULT_NEEDED = "adult_needed"
TERMS_NEEDED = "terms_needed"


@dataclass(frozen=True, slots=True)
class SignUpForm:
    """What a person has entered."""

    email: str
    password: str = field(repr=False)
    accepts_terms: bool
    """The terms and the privacy notice."""
    is_adult: bool


@dataclass(frozen=True, slots=True)
class LookIntoMail:
    """A mail says what to do next."""

    email: str


@dataclass(frozen=True, slots=True)
class SignUp:
    """Signs people up. Raises TooFastError, HasherBusyError, StoreUnavailableError."""

    people: People
    hasher: PasswordHasher
    policy: PasswordPolicy
    velocity: Velocity
    new_account_id: NewSecret
    currency: str
    moment: AnswerMoment
    history: History = field(default_factory=lambda: HISTORY)
    """The versions of what is accepted."""

    async def sign_up(self, form: SignUpForm, visitor: Visitor) -> LookIntoMail | Faults:
        """Create an account without credit, which can call once its address is proven."""
        async with self.moment.fixed():
            return await self._sign_up(form, visitor)

    async def send_again(self, email: str, visitor: Visitor) -> LookIntoMail | Faults:
        """Send the mail of a sign-up again; the outcome is the same for every address."""
        async with self.moment.fixed():
            return await self._send_again(email, visitor)

    async def _sign_up(self, form: SignUpForm, visitor: Visitor) -> LookIntoMail | Faults:
        refuse(await self.velocity.hit(sign_up_uses(visitor.address)))
        address, faults = await self._read(form)
        if address is None or faults:
            return Faults(faults)
        # Before the address is looked up, so that known and unknown ones take as long.
        password_hash = await self.hasher.hash(form.password)
        new = NewHolder(
            account_id=self.new_account_id(),
            currency=self.currency,
            email=address.text,
            email_key=address.key,
            password_hash=password_hash,
            language=visitor.language,
            consents={str(each): name for each, name in current(self.history).items()},
        )
        has_room = await self.velocity.hit(proof_mail_uses(address.key)) is None
        is_new = await self.people.sign_up(new, verify_email(address.text))
        await self._notify_known(address, is_notified=has_room and not is_new)
        return LookIntoMail(address.text)

    async def _send_again(self, email: str, visitor: Visitor) -> LookIntoMail | Faults:
        refuse(await self.velocity.hit(sign_up_uses(visitor.address)))
        try:
            address = parse_address(email)
        except AddressError as error:
            return Faults({"email": error.code})
        refuse(await self.velocity.hit(proof_mail_uses(address.key)))
        await self._notify_known(address, is_notified=True)
        return LookIntoMail(address.text)

    async def _notify_known(self, address: EmailAddress, *, is_notified: bool) -> None:
        """Mail the holder of an address what they can do.

        Takes as long if no one is to be mailed.
        """
        holder = await self.people.holder_by_email(address.key)
        if holder is None or not is_notified:
            await self.people.tell(NOBODY, address_known(address.text))
            return
        # To the address as its holder wrote it, not as someone else has just typed it.
        notice = address_known(holder.email) if holder.is_proven else verify_email(holder.email)
        await self.people.tell(holder.account_id, notice)

    async def _read(self, form: SignUpForm) -> tuple[EmailAddress | None, dict[str, str]]:
        faults, address = {}, None
        try:
            address = parse_address(form.email)
        except AddressError as error:
            faults["email"] = error.code
        if code := await self.policy.fault(form.password, form.email):
            faults["password"] = code
        if not form.accepts_terms:
            faults["terms"] = TERMS_NEEDED
        if not form.is_adult:
            faults["adult"] = ADULT_NEEDED
        return address, faults


def verify_email(email: str) -> Notice:
    """Return the mail that proves an address."""
    return Notice("verify_email", email, link=Purpose.PROVE_ADDRESS)


def address_known(email: str) -> Notice:
    """Return the mail that reminds of an account when its address is used for another sign-up."""
    return Notice("address_known", email)
