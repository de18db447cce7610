"""Lets a person delete their account: after some days in which they may come back, or at once.

Deleting at once needs a proof beyond the password.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from accounts.erasure import GRACE, Erasure, Unspent, is_strong
from accounts.link import Purpose, digest
from accounts.notice import Notice
from accounts.ports import Departures
from accounts.session import is_stepped_up
from billing.clock import Clock
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn

UNSPENT_NEEDED, STRONG_NEEDED = "unspent_needed", "strong_needed"

Amount = Callable[[str], Awaitable[int]]
"""Returns an amount of an account in micros. Raises StoreUnavailableError."""


@dataclass(frozen=True, slots=True)
class LeavingForm:
    """What a person has entered."""

    unspent: Unspent | None
    """What happens to credit that is left; None if nothing was chosen."""
    is_now: bool
    """Whether the account is deleted without a waiting period."""


@dataclass(frozen=True, slots=True)
class Parting:
    """What a person should know before they leave."""

    balance_micros: int
    refundable_micros: int
    """How much of it can be refunded to cards."""
    may_be_now: bool
    erasure: Erasure | None
    """The open deletion; None if there is none."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """The account is frozen and will be deleted."""


@dataclass(frozen=True, slots=True)
class Stays:
    """The account is kept."""

    is_frozen: bool = False
    """Whether it stays frozen for another reason."""


@dataclass(frozen=True, slots=True)
class TooLate:
    """No deletion can be cancelled: it has begun, or was cancelled before."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Deletions that holders ask for. Every method raises StoreUnavailableError."""

    departures: Departures
    clock: Clock
    balance_of: Amount
    refundable_of: Amount | None
    """None if no payment service is set up."""

    async def look(self, who: SignedIn) -> Parting:
        """Return what the person should know and can choose."""
        account_id = who.account.id
        balance = await self.balance_of(account_id)
        refundable = 0
        if self.refundable_of is not None and balance > 0:
            refundable = await self.refundable_of(account_id)
        return Parting(
            balance_micros=balance,
            refundable_micros=refundable,
            may_be_now=await self._may_be_now(who),
            erasure=await self.departures.deletion(account_id),
        )

    async def ask(
        self, who: SignedIn, form: LeavingForm
    ) -> Leaves | Faults | StepUpNeeded | SessionOver:
        """Let a person leave; repeating it changes nothing."""
        at = self.clock()
        if not is_stepped_up(who.session, at):
            return StepUpNeeded()
        if form.is_now and not await self._may_be_now(who):
            return Faults({"when": STRONG_NEEDED})
        balance = await self.balance_of(who.account.id)
        if form.unspent is None and balance > 0:
            return Faults({"unspent": UNSPENT_NEEDED})
        # Credit that arrives meanwhile is treated like the rest: given up only if the person said
        # so.
        unspent = form.unspent or Unspent.REFUND
        due_at = at if form.is_now else at + GRACE
        values = {"at": due_at.isoformat()}
        if balance > 0:
            values |= {"unspent": unspent.value, "micros": str(balance)}
        notice = Notice(
            "deletion_asked",
            who.holder.email,
            values,
            # A deletion at once leaves no time to cancel it.
            link=None if form.is_now else Purpose.CANCEL_DELETION,
            reach=who.session.began_at,
        )
        session = who.session
        is_noted = await self.departures.ask_deletion(
            session.account_id, session.credentials_epoch, unspent, due_at, notice
        )
        return Leaves() if is_noted else SessionOver()

    async def _may_be_now(self, who: SignedIn) -> bool:
        """Return whether a deletion may skip the wait: by a proof that was not added just now."""
        if not is_strong(who.session.methods):
            return False
        newest_at = await self.departures.strongest_proof_since(who.account.id)
        return newest_at is not None and newest_at <= self.clock() - GRACE

    async def cancel(self, who: SignedIn) -> Stays | TooLate | SessionOver:
        """Keep the account of the signed-in person."""
        session = who.session
        is_frozen = await self.stays_frozen(session.account_id)
        is_kept = await self.departures.cancel_deletion(
            session.account_id, session.credentials_epoch
        )
        if is_kept is None:
            return SessionOver()
        return Stays(is_frozen) if is_kept else TooLate()

    async def stays_frozen(self, account_id: str) -> bool:
        """Return whether an account that is kept after all stays frozen for another reason."""
        return await self.departures.is_frozen_otherwise(account_id)

    async def cancel_by_link(self, secret: str) -> Stays | TooLate:
        """Keep the account that a link in a mail is about; anyone who reads the mail may do so."""
        is_kept = await self.departures.cancel_by_link(digest(secret))
        return Stays() if is_kept else TooLate()
