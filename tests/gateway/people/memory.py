"""The stores of people in memory, with a mailbox: as the ports say, and no more."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from accounts.address import parse_address
from accounts.consent import Document, Version, current, missing
from accounts.errors import PasswordError
from accounts.holder import Device, Holder
from accounts.link import LIFETIMES, Link, Purpose, digest
from accounts.notice import Notice
from accounts.password import check_password
from accounts.ports import AddressTakenError, NewHolder
from accounts.session import Session, is_of_epoch
from billing.spend_limits import UNLIMITED, SpendLimits
from database.errors import StoreUnavailableError
from gateway.http.sessions import BrowserSessions
from gateway.http.visitor import Visitor
from gateway.people.address import Addresses
from gateway.people.answer_moment import AnswerMoment
from gateway.people.codes import Codes
from gateway.people.enrolment import Enrolment
from gateway.people.leaving import Leaving
from gateway.people.links import Links
from gateway.people.passkey_proofs import PasskeyProofs, RelyingParty
from gateway.people.passkeys import Passkeys
from gateway.people.password import Passwords
from gateway.people.password_policy import PasswordPolicy
from gateway.people.privacy import Privacy
from gateway.people.sign_in import SignIn, Welcome
from gateway.people.sign_out import SignOut
from gateway.people.sign_up import SignUp
from gateway.scopes import Scope
from tests.gateway.calls.test_live import Velocity
from tests.gateway.people.departures import MemoryDepartures
from tests.gateway.people.memory_factors import (
    MemoryCeremonies,
    MemoryPasskeys,
    MemorySecondFactors,
)

BEGINNING = datetime(2026, 11, 27, 12, tzinfo=UTC)
PASSWORD = "correct-zebra-tram-92"
OTHER_PASSWORD = "violin under seven lakes"
EMAIL = "ada@example.com"
HOST = "calls.example.com"


@dataclass(frozen=True)
class Account:
    id: str
    currency: str = "USD"
    frozen: bool = False
    limits: SpendLimits = UNLIMITED
    keeps_quality: bool = True
    key_id: str = ""
    scopes: frozenset[Scope] = frozenset()
    key_expires_at: datetime | None = None
    has_holder: bool = False
    is_unproven: bool = False
    is_restricted: bool = False


@dataclass(frozen=True)
class Mail:
    """A mail as its reader gets it."""

    name: str
    to: str
    secret: str
    values: Mapping[str, str]


class MemoryPeople:
    """`accounts.ports.People`, whose mails leave at once."""

    def __init__(self, world):
        self.world = world
        self.holders: dict[str, Holder] = {}
        self.consents = {}
        self.links: dict[str, Link] = {}
        self.known_devices: dict[str, dict[str, Device]] = {}
        self.mails: list[Mail] = []
        self.reaches: dict[str, datetime | None] = {}
        """Of the last mail of each name."""
        self.is_away = False
        self.asked: list[str] = []
        self._ids = itertools.count()

    def _look(self, what):
        self.asked.append(what)
        if self.is_away:
            raise StoreUnavailableError("away")

    def mail(self, account_id, notice: Notice):
        secret = ""
        if notice.link is not None:
            secret = f"link-{next(self._ids)}-{notice.link.value}"
            email = notice.link_email or notice.recipient
            ends = self.world.now + LIFETIMES[notice.link]
            self.links[digest(secret)] = Link(notice.link, account_id, email, ends)
        self.mails.append(Mail(notice.name, notice.recipient, secret, notice.values))
        self.reaches[notice.name] = notice.reach

    async def holder(self, account_id):
        self._look("holder")
        return self.holders.get(account_id)

    async def holder_by_email(self, email_key):
        self._look("holder_by_email")
        return next((h for h in self.holders.values() if key_of(h) == email_key), None)

    async def sign_up(self, new: NewHolder, notice):
        self._look("sign_up")
        if any(key_of(holder) == new.email_key for holder in self.holders.values()):
            return False
        self.holders[new.account_id] = Holder(
            account_id=new.account_id,
            email=new.email,
            email_proven_at=None,
            password_hash=new.password_hash,
            credentials_epoch=1,
            language=new.language,
            created_at=self.world.now,
        )
        self.consents[new.account_id] = new.consents
        self.world.accounts[new.account_id] = Account(new.account_id, new.currency)
        self.mail(new.account_id, notice)
        return True

    async def tell(self, account_id, notice):
        self._look("tell")
        if account_id in self.holders:
            self.mail(account_id, notice)

    async def look_at_link(self, digest):
        self._look("look_at_link")
        return self.links.get(digest)

    def _use(self, digest, purpose) -> Link | None:
        self._look(purpose)
        link = self.links.get(digest)
        if link is None or link.purpose is not purpose or not link.works(self.world.now):
            return None
        self.links[digest] = replace(link, used_at=self.world.now)
        return link

    def _change(self, account_id, notices, **fields):
        holder = self.holders[account_id] = replace(self.holders[account_id], **fields)
        if "credentials_epoch" in fields:
            self.world.epochs.epoch += "+"
        for notice in notices:
            self.mail(account_id, notice)
        return holder

    def _next_epoch(self, account_id):
        return self.holders[account_id].credentials_epoch + 1

    async def prove_address(self, digest, password_hash):
        link = self.links.get(digest)
        if link is None or self.holders[link.account_id].password_hash != password_hash:
            return None
        if self._use(digest, Purpose.PROVE_ADDRESS) is None:
            return None
        epoch = self._next_epoch(link.account_id)
        return self._change(
            link.account_id, [], email_proven_at=self.world.now, credentials_epoch=epoch
        )

    async def reset_password(self, digest, password_hash, notice, language=""):
        link = self._use(digest, Purpose.RESET_PASSWORD)
        if link is None:
            return None
        account_id = link.account_id
        self.known_devices.pop(account_id, None)
        if self.holders[account_id].is_proven or not language:
            language = self.holders[account_id].language
        return self._change(
            account_id,
            [notice],
            language=language,
            password_hash=password_hash,
            locked_at=None,
            email_proven_at=self.world.now,
            credentials_epoch=self._next_epoch(account_id),
        )

    async def change_address(self, digest, credentials_epoch, email_key, notices):
        link = self.links.get(digest)
        if link is None or not self._stands(link.account_id, credentials_epoch):
            return None
        if link.works(self.world.now) and any(
            key_of(each) == email_key and each.account_id != link.account_id
            for each in self.holders.values()
        ):
            raise AddressTakenError
        if self._use(digest, Purpose.CHANGE_ADDRESS) is None:
            return None
        return self._change(link.account_id, notices, email=link.email)

    async def use_sign_in_link(self, digest):
        link = self.links.get(digest)
        if link is None or self.holders[link.account_id].locked_at is not None:
            return None
        used = self._use(digest, Purpose.SIGN_IN)
        return None if used is None else self.holders[used.account_id]

    async def undo_change(self, digest, email_key, notice):
        link = self._use(digest, Purpose.UNDO_CHANGE)
        if link is None:
            return None
        return self._lock(link.account_id, notice, email=link.email)

    async def lock(self, digest, notice):
        link = self._use(digest, Purpose.NOT_ME)
        return None if link is None else self._lock(link.account_id, notice)

    def _lock(self, account_id, notice, **fields):
        epoch = self._next_epoch(account_id)
        now = self.world.now
        return self._change(account_id, [notice], locked_at=now, credentials_epoch=epoch, **fields)

    def _stands(self, account_id, credentials_epoch):
        holder = self.holders.get(account_id)
        return holder is not None and is_of_epoch(credentials_epoch, holder)

    async def tell_signed_in(self, account_id, credentials_epoch, notice):
        if stands := self._stands(account_id, credentials_epoch):
            await self.tell(account_id, notice)
        return stands

    async def set_password(self, account_id, credentials_epoch, password_hash, notice):
        self._look("set_password")
        if not self._stands(account_id, credentials_epoch):
            return None
        epoch = self._next_epoch(account_id)
        return self._change(
            account_id, [notice], password_hash=password_hash, credentials_epoch=epoch
        )

    async def end_sessions(self, account_id, credentials_epoch):
        self._look("end_sessions")
        if not self._stands(account_id, credentials_epoch):
            return None
        return self._change(account_id, [], credentials_epoch=self._next_epoch(account_id))

    async def rehash(self, account_id, old_hash, new_hash):
        self._look("rehash")
        if self.holders[account_id].password_hash == old_hash:
            self._change(account_id, [], password_hash=new_hash)

    async def set_language(self, account_id, credentials_epoch, language):
        if stands := self._stands(account_id, credentials_epoch):
            self._change(account_id, [], language=language)
        return stands

    async def note_device(self, account_id, device, notice):
        self._look("note_device")
        known = self.known_devices.setdefault(account_id, {})
        is_new, is_first = device.id not in known, not known
        known[device.id] = device
        if is_new and not is_first and notice is not None:
            self.mail(account_id, notice)
        return is_new

    async def devices(self, account_id) -> Sequence[Device]:
        self._look("devices")
        return list(self.known_devices.get(account_id, {}).values())

    async def forget_device(self, account_id, credentials_epoch, device_id):
        if stands := self._stands(account_id, credentials_epoch):
            self.known_devices.get(account_id, {}).pop(device_id, None)
        return stands


def key_of(holder: Holder) -> str:
    return parse_address(holder.email).key


class MemorySessions:
    """`accounts.ports.Sessions`."""

    def __init__(self):
        self.kept: dict[str, Session] = {}
        self.renewed: set[str] = set()
        self.touched: list[datetime] = []
        self.is_away = False
        self._ids = itertools.count()

    def _look(self):
        if self.is_away:
            raise StoreUnavailableError("away")

    async def begin(self, session):
        self._look()
        secret = f"session-secret-{next(self._ids):04}"
        self.kept[secret] = session
        return secret

    async def find(self, secret):
        return self.kept.get(secret)

    async def rotate(self, secret, session):
        if self.kept.pop(secret, None) is None:
            return None
        self.renewed.add(secret)
        return await self.begin(session)

    async def was_renewed(self, secret):
        return secret in self.renewed

    async def touch(self, secret, seen_at):
        self.touched.append(seen_at)
        if secret in self.kept:
            self.kept[secret] = replace(self.kept[secret], seen_at=seen_at)

    async def end(self, secret):
        self.kept.pop(secret, None)

    async def end_all(self, account_id, *, but=""):
        for secret, session in list(self.kept.items()):
            if session.account_id == account_id and secret != but:
                del self.kept[secret]

    async def of_account(self, account_id):
        self._look()
        return [
            (digest(secret), session)
            for secret, session in self.kept.items()
            if session.account_id == account_id
        ]

    async def end_by_name(self, account_id, name):
        for secret, session in list(self.kept.items()):
            if session.account_id == account_id and digest(secret) == name:
                del self.kept[secret]


class PlainHasher:
    """`accounts.ports.PasswordHasher` that notes what it was asked, and hides nothing."""

    def __init__(self):
        self.hashed = 0
        self.verified: list[str] = []
        self.outdated = ""

    async def hash(self, password):
        self.hashed += 1
        return f"hash of {password}"

    async def verify(self, password, stored):
        self.verified.append(stored)
        return stored.removeprefix("old ") == f"hash of {password}"

    async def fault(self, password, context):
        try:
            check_password(password, context)
        except PasswordError as error:
            return error.code
        return ""

    def is_outdated(self, stored):
        return stored.startswith("old ")


class Epochs:
    """`gateway.ports.KeyEpochs`."""

    def __init__(self):
        self.epoch = "e1"
        self.is_away = False

    async def current(self):
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.epoch


class World:
    """All flows on stores in memory, and a clock that the test moves."""

    def __init__(self):
        self.now = BEGINNING
        self.accounts: dict[str, Account] = {}
        self.people, self.sessions = MemoryPeople(self), MemorySessions()
        self.hasher, self.velocity, self.epochs = PlainHasher(), Velocity(), Epochs()
        self._ids = itertools.count()
        clock, policy = (lambda: self.now), PasswordPolicy(self.hasher, "Caller")
        people, sessions, hasher, velocity = (
            self.people,
            self.sessions,
            self.hasher,
            self.velocity,
        )
        self.departures = MemoryDepartures(self)
        self.history = {Document.TERMS: (Version("2026-11-27"),)}
        self.balance, self.refundable = 0, 0
        self.privacy = Privacy(self.departures, people, self.history)
        self.browsers = BrowserSessions(
            people,
            sessions,
            self,
            self.epochs,
            clock,
            lambda: int(self.now.timestamp() * 1e9),
            missing=self.missing,
        )
        self.naps: list[float] = []
        """Seconds for which answers were held back: no time passes in a flow."""
        moment = AnswerMoment(lambda: 0, self.nap)
        self.sign_up = SignUp(people, hasher, policy, velocity, self.new_secret, "USD", moment)
        self.factors, self.passkey_store = MemorySecondFactors(self), MemoryPasskeys(self)
        self.ceremonies = MemoryCeremonies(self)
        self.codes = Codes(people, self.factors, velocity, clock)
        self.sign_in = SignIn(
            people,
            sessions,
            hasher,
            velocity,
            clock,
            self.new_secret,
            self.factors,
            self.ceremonies,
            self.codes,
        )
        self.passkeys = Passkeys(
            people,
            self.passkey_store,
            sessions,
            self.ceremonies,
            self.sign_in,
            PasskeyProofs(RelyingParty(HOST, "Example Calls", frozenset({f"https://{HOST}"}))),
            velocity,
            clock,
            random.Random(2).randbytes,
        )
        self.enrolment = Enrolment(
            self.factors,
            self.ceremonies,
            sessions,
            self.codes,
            velocity,
            clock,
            random.Random(1).randbytes,
            "Example Calls",
        )
        self.passwords = Passwords(people, sessions, hasher, policy, velocity, clock, moment)
        self.addresses = Addresses(people, velocity, clock, self.sign_in)
        self.leaving = Leaving(self.departures, clock, self.balance_of, self.refundable_of)
        self.links = Links(people, sessions, velocity, clock, self.leaving)
        self.sign_outs = SignOut(people, sessions, velocity)

    async def balance_of(self, _account_id):
        return self.balance

    async def refundable_of(self, _account_id):
        return self.refundable

    async def is_leaving(self, account_id):
        return await self.departures.deletion(account_id) is not None

    async def missing(self, account_id):
        # Who signs up accepts what is in force.
        accepted = self.departures.versions.setdefault(account_id, dict(current(self.history)))
        return missing(accepted, self.history)

    def new_secret(self):
        return f"random-secret-{next(self._ids):04}"

    async def nap(self, seconds):
        self.naps.append(seconds)

    async def account(self, account_id):
        return self.accounts.get(account_id)

    def later(self, **how_long):
        self.now += timedelta(**how_long)

    def add(self, account_id="ada", email=EMAIL, *, proven=True, password=PASSWORD):
        """Add somebody who has signed up."""
        holder = self.people.holders[account_id] = Holder(
            account_id=account_id,
            email=email,
            email_proven_at=self.now if proven else None,
            password_hash=f"hash of {password}",
            credentials_epoch=1,
            language="en",
            created_at=self.now,
        )
        self.accounts[account_id] = Account(account_id)
        self.departures.versions[account_id] = dict(current(self.history))
        return holder

    def change(self, account_id="ada", **fields):
        self.people.holders[account_id] = replace(self.people.holders[account_id], **fields)

    async def enter(self, email=EMAIL, password=PASSWORD, visitor=None):
        """Sign somebody in; return who is signed in."""
        welcome = await self.sign_in.by_password(email, password, visitor or a_visitor())
        assert isinstance(welcome, Welcome)
        return await self.browsers.who(welcome.session_secret)

    @property
    def mails(self):
        """Name and recipient of each mail so far."""
        return [(mail.name, mail.to) for mail in self.people.mails]

    def link(self, name):
        """Return the secret in the last mail of a name."""
        return next(mail.secret for mail in reversed(self.people.mails) if mail.name == name)


def a_visitor(**fields):
    return replace(Visitor("192.0.2.1", "en", "Mozilla/5.0"), **fields)
