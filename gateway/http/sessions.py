"""Finds out who is signed in with a session, and ends sessions.

Each request reads the session from Valkey, so that ending one takes effect at once. Its holder and
account are read from SQL, and cached for some seconds within one key epoch, which ends with every
credentials epoch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from accounts.consent import Document
from accounts.holder import Device, Holder
from accounts.ports import People, Sessions
from accounts.session import Session, is_alive, is_of_epoch
from billing.clock import Clock
from database.errors import StoreUnavailableError
from gateway.heartbeat.cached import Remembered
from gateway.http.outcomes import SessionOver
from gateway.nanoseconds import SECOND_NS
from gateway.ports import Account, KeyEpochs

TOUCHED_EVERY: Final = timedelta(minutes=1)
"""How precisely the last use of a session is known: a write for each request would be waste."""
_FRESH_NS: Final = 10 * SECOND_NS
"""How long a cached holder and account are used within one key epoch, as those of API keys are."""
_STALE_NS: Final = 60 * SECOND_NS
"""How long they are used while SQL is unavailable."""
_KNOWN_MAX: Final = 10_000


Missing = Callable[[str], Awaitable[tuple[Document, ...]]]
"""Returns what an account's holder has yet to accept. Raises StoreUnavailableError."""


async def _nothing_is_missing(_account_id: str) -> tuple[Document, ...]:
    """Return nothing: a person who signs up accepts everything."""
    return ()


class AccountsById(Protocol):
    """Accounts by their own ids. Raises StoreUnavailableError."""

    async def account(self, account_id: str) -> Account | None:
        """Return an account."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person at a browser."""

    session: Session
    holder: Holder
    account: Account
    epoch: str
    """Key epoch in which the account was looked up; empty if unknown."""
    secret: str = field(repr=False)
    """The session's secret."""
    missing: tuple[Document, ...] = ()
    """What must be accepted before they go on."""


@dataclass(frozen=True, slots=True)
class _Known:
    holder: Holder
    account: Account
    epoch: str
    missing: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One of a person's sessions, as shown to them."""

    name: str
    session: Session
    device: Device | None
    """None if it was forgotten."""
    is_own: bool
    """Whether it is the requesting session."""


@dataclass(frozen=True, slots=True)
class BrowserSessions:
    """The sessions of people. Every method raises StoreUnavailableError."""

    people: People
    sessions: Sessions
    accounts: AccountsById
    epochs: KeyEpochs
    clock: Clock
    clock_ns: Callable[[], int]
    missing: Missing = _nothing_is_missing
    _known: Remembered[_Known] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin with an empty cache."""
        object.__setattr__(self, "_known", Remembered(self.epochs, _KNOWN_MAX))

    async def who(self, secret: str) -> SignedIn | None:
        """Return who is signed in with a session; None if it is over."""
        session = await self.sessions.find(secret)
        if session is None:
            return None
        at = self.clock()
        known = await self._holder(session.account_id, remembered=True)
        if known is not None and not is_alive(session, known.holder, at):
            # The cache may be older than the session, if the password was changed elsewhere.
            known = await self._holder(session.account_id, remembered=False)
        if known is None or not is_alive(session, known.holder, at):
            # The request that began the next epoch may be about to rotate the session into it.
            if known is None or not _is_of_epoch_before(session, known.holder):
                await self.sessions.end(secret)
            return None
        if at - session.seen_at >= TOUCHED_EVERY:
            await self.sessions.touch(secret, at)
        return SignedIn(session, known.holder, known.account, known.epoch, secret, known.missing)

    async def was_renewed(self, secret: str) -> bool:
        """Tell whether a session goes on under another secret since less than a minute."""
        return await self.sessions.was_renewed(secret)

    async def _holder(self, account_id: str, *, remembered: bool) -> _Known | None:
        """Return holder and account; cached ones serve while SQL is unavailable."""
        now_ns = self.clock_ns()
        epoch = await self._known.epoch()
        known = self._known.find(account_id, epoch, now_ns, _FRESH_NS) if remembered else None
        # An unproven address is never served from the cache: the next request may follow the proof
        # within the second.
        if known is not None and known.holder.is_proven:
            return known
        try:
            holder = await self.people.holder(account_id)
            account = await self.accounts.account(account_id)
            missing = await self.missing(account_id)
        except StoreUnavailableError:
            known = self._known.find(account_id, epoch, now_ns, _STALE_NS) if remembered else None
            if known is None:
                raise
            return known
        if holder is None or account is None:
            self._known.forget(account_id)
            return None
        known = _Known(holder, account, epoch, missing)
        self._known.keep(account_id, known, epoch, now_ns)
        return known

    async def open(self, who: SignedIn) -> Sequence[OpenSession]:
        """Return a person's sessions, the last seen first."""
        account_id = who.session.account_id
        devices = {each.id: each for each in await self.people.devices(account_id)}
        own = _which(who.session)
        return [
            OpenSession(name, each, devices.get(each.device_id), is_own=_which(each) == own)
            for name, each in await self.sessions.of_account(account_id)
            # One of an earlier epoch is over, even if the store does not know yet.
            if is_alive(each, who.holder, self.clock())
        ]

    async def sign_out(self, secret: str) -> None:
        """End a session; does nothing if it is over."""
        await self.sessions.end(secret)

    async def end_one(self, who: SignedIn, name: str) -> SessionOver | None:
        """End one session of a person, and forget its device; does nothing if it is over."""
        account_id, own_epoch = who.session.account_id, who.session.credentials_epoch
        for found, session in await self.sessions.of_account(account_id):
            if found == name:
                # The device first: a crash in between leaves a session that can still be ended.
                if not await self.people.forget_device(account_id, own_epoch, session.device_id):
                    return SessionOver()
                await self.sessions.end_by_name(account_id, name)
        return None

    async def goes_on(self, account_id: str, device_id: str, began_at: datetime) -> bool:
        """Return whether a session that began on a device is still alive, under any secret."""
        found = await self.sessions.of_account(account_id)
        return any(_which(each) == (device_id, began_at) for _, each in found)

    async def caller(self, account_id: str, credentials_epoch: int) -> Account | None:
        """Return the account of a person who signed in within this epoch and may still call.

        Reads SQL, not the cache: it happens once per call, and a call costs money.
        """
        holder = await self.people.holder(account_id)
        account = await self.accounts.account(account_id)
        if account is None or account.frozen or holder is None or not holder.is_proven:
            return None
        return account if is_of_epoch(credentials_epoch, holder) else None


async def go_on(sessions: Sessions, who: SignedIn, holder: Holder) -> str:
    """Move a session into the epoch that it has begun, and end the account's others.

    Return its new secret; empty if it has ended meanwhile.
    """
    going_on = replace(who.session, credentials_epoch=holder.credentials_epoch)
    # A new id: someone who has seen the old one is out, and so is everyone if this breaks off.
    secret = await sessions.rotate(who.secret, going_on) or ""
    await sessions.end_all(holder.account_id, but=secret)
    return secret


async def forget_sessions(sessions: Sessions, account_id: str) -> None:
    """Delete all sessions of an account whose credentials epoch has ended from the store.

    The new epoch has already ended them, so a store that is unavailable is not reported as a
    failure.
    """
    with contextlib.suppress(StoreUnavailableError):
        await sessions.end_all(account_id)


def _which(session: Session) -> tuple[str, datetime]:
    """Return what identifies a session for as long as it lives."""
    # `seen_at` moves with each use, and the secret is known only for one's own session.
    return session.device_id, session.began_at


def _is_of_epoch_before(session: Session, holder: Holder) -> bool:
    return session.credentials_epoch + 1 == holder.credentials_epoch
