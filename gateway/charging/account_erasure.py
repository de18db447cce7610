"""Deletes accounts step by step, so that a process that dies leaves nothing undone.

The progress of a deletion is a row; each step may be repeated, and is restarted by any process that
finds it unfinished. What the books need stays: the account's number, its payments and ledger, and
the cost of its calls. An operator's command begins the same deletion without grace, and waits until
it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Protocol

import structlog

from accounts.audit_log import Actor
from accounts.erasure import STEPS, Erasure, ErasureState, ErasureStep, Unspent, after
from billing.clock import Clock, utc_now
from billing.payments import ACCOUNT_DELETED_REASON, PaymentProfile
from billing.ports import LedgerStore, SpendGate
from database.errors import StoreUnavailableError
from gateway.charging.recovery import Drain, bring_credits
from gateway.operators import Order

INTERVAL_S: Final = 10.0
"""How soon a due deletion begins, and how often what it waits for is checked."""
REST: Final = timedelta(seconds=10)
"""How long a deletion that waits for something is left alone."""
FAILURE_FACTOR: Final = 6
"""How much longer a deletion that failed is left alone."""
ROUND_MAX: Final = 20
"""Deletions that one round works on; the rest wait for the next."""
BATCHES_MAX: Final = 200
"""Batches of records per look, so that a heavy caller's do not hold up others."""
LATE_INTERVAL_S: Final = 60.0
"""How soon credit that arrives after a deletion begins to be returned."""
CREDIT_ROUNDS_MAX: Final = 4
"""Attempts to bring a balance to zero; refunds, and credit that arrives meanwhile, cost one."""

_BEFORE_NOTED: Final = STEPS[: STEPS.index(ErasureStep.PERSON) + 1]

log = structlog.get_logger(__name__)


class DeletionRows(Protocol):
    """The rows of deletions. Raises StoreUnavailableError."""

    async def find(self, account_id: str) -> Erasure | None:
        """Return an account's deletion in any state."""

    async def begin_now(
        self, account_id: str, unspent: Unspent, actor: Actor, order: Order | None = None
    ) -> None:
        """Note a deletion that is due at once; one that was done is repeated.

        An operator's order also closes the account.
        """

    async def held_until(self, account_id: str) -> datetime | None:
        """Return until when another process holds a deletion if it does not renew, else None."""

    async def lease(self, account_id: str) -> Erasure | None:
        """Take a deletion that is due, or this account's; None if there is none to take."""

    async def proceed(self, account_id: str, step: ErasureStep) -> None:
        """Note that all steps before this one are done."""

    async def rest(self, account_id: str, pause: timedelta) -> None:
        """Release a deletion; for this long no process takes it."""

    async def waiting_for_files(self) -> Sequence[str]:
        """Return accounts of which nothing is left except in old files."""

    async def finish(self, account_id: str) -> None:
        """Note that the last step is done; nothing if a deletion was started again meanwhile."""

    async def reopen_paid_late(self) -> Sequence[str]:
        """Reopen, at the credit step, deletions of accounts that received payments afterwards."""

    async def reopen_failed_refunds(self) -> Sequence[str]:
        """Reopen those with a refund that is to be retried."""

    async def has_failed_before(self, erasure: Erasure) -> bool:
        """Return whether money on its way to a card before this attempt has failed to arrive."""

    async def blank_records(self, account_id: str) -> bool:
        """Blank some of an account's calls and payments; return whether none is left."""

    async def erase_person(self, account_id: str) -> None:
        """Erase the holder and all data about the person, and queue the last mail."""


class Accounts(Protocol):
    """Accounts and their keys. Raises StoreUnavailableError."""

    async def mark_deleted(self, account_id: str) -> None:
        """Freeze an account for good and refuse its keys. Raises LookupError if there is none."""

    async def keys_changed(self) -> None:
        """Make all processes drop what they cached about keys and holders."""


class Profiles(Protocol):
    """The saved cards of accounts."""

    async def profile(self, account_id: str) -> PaymentProfile:
        """Return an account's profile. Raises LookupError if there is no such account."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a deletion has come in one attempt."""

    account_id: str
    next_step: ErasureStep | None
    """The step it is waiting for; None if it is done."""
    customer_id: str = ""
    """A customer still stored at the payment service, because none is set up here."""

    @property
    def is_erased(self) -> bool:
        """Whether nothing is left of the person except in files that wait to be rewritten."""
        return self.next_step in {None, ErasureStep.FILES}


@dataclass(frozen=True, slots=True)
class AccountErasure:
    """Carries out deletions. Raises StoreUnavailableError, PaymentError; a repeat continues."""

    gate: SpendGate
    ledger: LedgerStore
    erasures: DeletionRows
    accounts: Accounts
    profiles: Profiles
    drain: Drain
    """Books what waits in the outbox."""
    settle: Callable[[str], Awaitable[None]] | None
    """Closes an account's payment pages that are still open, and books what was paid; None without
    a service."""
    send_back: Callable[[str, datetime | None], Awaitable[None]] | None
    """Sends an account's credit back to the cards it came from: all of it, or what was paid since a
    moment; None without a service."""
    forget_customer: Callable[[str], Awaitable[None]] | None
    """Deletes a customer and the saved cards at the payment service; None if none is set up."""
    end_sessions: Callable[[str], Awaitable[None]]
    """Signs an account's holder out everywhere. Raises StoreUnavailableError."""
    require_journal: Callable[[], Awaitable[None]]
    """Makes sure that `note` can write. Raises StoreUnavailableError."""
    note: Callable[[str, datetime], Awaitable[None]]
    """Records outside the database that an account is erased, before it is."""
    rewrite_files: Callable[[], Awaitable[bool]]
    """Makes the store rewrite its files; False while it must wait for that."""
    clock: Clock = utc_now

    async def round(self) -> None:
        """Work on what is due."""
        for _ in range(ROUND_MAX):
            progress = await self.perform()
            if progress is None:
                return
            if progress.customer_id:
                log.warning(
                    "customer is left at the payment service, which is not set up here",
                    account=progress.account_id,
                    object=progress.customer_id,
                )

    async def look_for_late_credit(self) -> None:
        """Reopen deletions whose accounts received credit afterwards; `round` sends it back."""
        for account_id in await self.erasures.reopen_paid_late():
            log.warning("payment for a deleted account goes back", account=account_id)
        for account_id in await self.erasures.reopen_failed_refunds():
            log.warning("refund of a deleted account is tried again", account=account_id)

    async def perform(self, account_id: str = "") -> Progress | None:
        """Continue a deletion as far as possible now; None if there is none to take.

        Args:
            account_id: Whose; empty for any that is due.

        Raises LookupError: no such account.

        """
        erasure = await self.erasures.lease(account_id)
        if erasure is None:
            return None
        # The caller that names an account waits for it, and looks again soon.
        pause = timedelta() if account_id else REST
        try:
            progress = await self._go_on(erasure)
        except Exception:
            # Longer, so that one that fails does not keep others from their turn.
            with contextlib.suppress(StoreUnavailableError):
                await self.erasures.rest(erasure.account_id, pause * FAILURE_FACTOR)
            raise
        if progress.next_step is None:
            await self.erasures.finish(erasure.account_id)
        else:
            await self.erasures.rest(erasure.account_id, pause)
        return progress

    async def _go_on(self, erasure: Erasure) -> Progress:
        account_id = erasure.account_id
        customer_id = ""
        step: ErasureStep | None = erasure.step
        if step in _BEFORE_NOTED:
            # Before money leaves: without the note the person cannot be erased, and would stay half
            # erased.
            await self.require_journal()
        while step is not None:
            if step is ErasureStep.CUSTOMER:
                customer_id = await self._forget_customer(account_id)
            elif not await self._do(step, erasure):
                break
            step = after(step)
            if step is not None:
                await self.erasures.proceed(account_id, step)
        return Progress(account_id, step, customer_id)

    async def is_erased(self, account_id: str) -> bool:
        """Return whether nothing of a person is left outside old files, or needed erasing."""
        erasure = await self.erasures.find(account_id)
        return (
            erasure is None
            or erasure.state is ErasureState.DONE
            or erasure.step is ErasureStep.FILES
        )

    async def _do(self, step: ErasureStep, erasure: Erasure) -> bool:
        """Do a step; return whether it is done."""
        account_id = erasure.account_id
        match step:
            case ErasureStep.CLOSE:
                # The book first: if the gate is away, it is brought in line later.
                await self.accounts.mark_deleted(account_id)
                await self.gate.freeze(account_id, True)
            case ErasureStep.CALLS:
                return await self._have_calls_ended(account_id)
            case ErasureStep.CREDIT:
                # Only now: what a live call holds is part of the remaining credit.
                return await self._clear_credit(erasure)
            case ErasureStep.RECORDS:
                return await self._blank_records(account_id)
            case ErasureStep.PERSON:
                # Before it: an older copy of the database must find the note, whenever it was
                # taken.
                await self.note(account_id, self.clock())
                await self.erasures.erase_person(account_id)
            case ErasureStep.SESSIONS:
                # Once there is no holder: no one can sign in any more.
                await self.end_sessions(account_id)
                await self.accounts.keys_changed()
            case ErasureStep.FILES:
                return await self._rewrite_files(account_id)
        return True

    async def _rewrite_files(self, account_id: str) -> bool:
        """Have the files rewritten; finish all other deletions that wait for that by now."""
        waiting = await self.erasures.waiting_for_files()
        if not await self.rewrite_files():
            return False
        for other in waiting:
            if other != account_id:
                await self.erasures.finish(other)
        return True

    async def _have_calls_ended(self, account_id: str) -> bool:
        """Return whether no call is open and all are booked.

        Nodes end the calls of a frozen account within a second; those of a node that is gone wait
        for the sweeper.
        """
        if any(c.account_id == account_id for c in await self.gate.open_calls()):
            return False
        # A call that is booked after its account's records were blanked would keep its number.
        await self.drain()
        return True

    async def _clear_credit(self, erasure: Erasure) -> bool:
        """Send credit back, and give up the rest; False if more has arrived each time."""
        account_id = erasure.account_id
        unspent = erasure.unspent
        # No one has given up, or even seen, what was paid after the request: a page that was open
        # then may still have been paid.
        since = None if unspent is Unspent.REFUND else erasure.asked_at
        for _ in range(CREDIT_ROUNDS_MAX):
            if self.settle is not None:
                await self.settle(account_id)
            # The gate's balance decides: it must know every credit that is booked.
            await bring_credits(self.gate, self.ledger, account_id)
            sequence = await self.gate.credit_sequence(account_id)
            if self.send_back is not None:
                await self.send_back(account_id, since)
            balance_micros = await self.gate.balance(account_id)
            # Refunds, or a credit that no one has tried to send back yet.
            if await self.gate.credit_sequence(account_id) != sequence:
                continue
            if balance_micros and not await self._is_kept(erasure):
                await self._write_off(account_id, balance_micros, sequence)
            return True
        return False

    async def _is_kept(self, erasure: Erasure) -> bool:
        """Return whether credit that no card accepts now stays on the account.

        A refund that is refused at once is given up, as the person was told. One that was on its
        way to a card when they left is not: it is tried again, and then left to an operator.
        """
        return erasure.unspent is Unspent.KEEP or await self.erasures.has_failed_before(erasure)

    async def _write_off(self, account_id: str, balance_micros: int, sequence: int) -> None:
        # The number of the last credit is part of the reference: a later write-off is another one,
        # and two concurrent deletions book it once.
        await self.ledger.add_credit(
            account_id,
            -balance_micros,
            reference=f"closing:{account_id}:{sequence}",
            kind="closing",
            reason=ACCOUNT_DELETED_REASON,
        )
        await bring_credits(self.gate, self.ledger, account_id)

    async def _forget_customer(self, account_id: str) -> str:
        """Delete the customer at the payment service; return the one left if none is set up."""
        # Read now: a card may have been saved until the account was marked.
        customer_id = (await self.profiles.profile(account_id)).customer_id or ""
        if customer_id and self.forget_customer is not None:
            await self.forget_customer(customer_id)
            return ""
        return customer_id

    async def _blank_records(self, account_id: str) -> bool:
        for _ in range(BATCHES_MAX):
            if await self.erasures.blank_records(account_id):
                return True
        return False


LOOK_EVERY_S = 0.5
HELD_LOOKS_MAX = 4
"""Looks, 2 s in all, within which a live process reaches the next step of a deletion."""
LOOKS_MAX = 90
"""Looks for what a deletion waits for, 45 s in all: calls of a node that is gone wait for the
sweeper."""


class DeletionOutcome(Enum):
    """The outcome of a deletion."""

    DELETED = "deleted"
    HAS_CREDIT = "has_credit"
    """Nothing was changed: the remaining credit must be refunded or written off."""
    NO_SERVICE = "no_service"
    """Nothing was changed: the holder wants credit sent back, and no payment service is set up
    here."""
    CALLS_GO_ON = "calls_go_on"
    """No new calls are possible, but not all calls have ended: nodes continue the deletion."""
    HELD = "held"
    """Another process is doing it, or was killed while it did."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """The outcome, and what the account has left: in micros, below zero if it owes."""

    outcome: DeletionOutcome
    left_micros: int = 0
    customer_id: str = ""
    """A customer still stored at the payment service, because none is set up here."""
    held_until: datetime | None = None
    """Until when another process, if it was killed, still blocks the deletion."""
    has_old_files: bool = field(default=False, compare=False)
    """Whether old files that still contain deleted data wait to be rewritten, which nodes do."""


@dataclass(frozen=True, slots=True)
class AccountDeletion:
    """Deletes accounts immediately."""

    erasure: AccountErasure
    looks_max: int = LOOKS_MAX
    look_every_s: float = LOOK_EVERY_S
    held_looks_max: int = HELD_LOOKS_MAX

    async def delete(
        self, account_id: str, *, write_off: bool, order: Order | None = None
    ) -> Deletion:
        """Delete an account; repeating it finishes what is left to do.

        If the holder has asked for the deletion, their choices apply.

        Args:
            account_id: The account.
            order: Who wants it, and why, for the audit log; None: that has been written.
            write_off: Set what it has left, or owes, to zero.

        Raises:
            LookupError: no such account.
            PaymentError: the payment service did not forget the card; delete again.
            StoreUnavailableError: delete again.

        """
        work = self.erasure
        profile = await work.profiles.profile(account_id)
        # The gate's balance decides below: it must know every credit that is booked.
        await bring_credits(work.gate, work.ledger, account_id)
        left_micros = await self._left(account_id)
        # Credit that comes to a deleted account later does not undo its deletion.
        if left_micros and not profile.deleted:
            choice = await self._choice(account_id)
            if choice is Unspent.REFUND and left_micros > 0 and work.send_back is None:
                return Deletion(DeletionOutcome.NO_SERVICE, left_micros)
            if choice is None and not write_off:
                return Deletion(DeletionOutcome.HAS_CREDIT, left_micros)
        unspent = Unspent.GIVE_UP if write_off else Unspent.KEEP
        if profile.deleted and not (write_off and left_micros):
            # It only finishes what someone else ordered, whose entry is in the log.
            order = None
        await work.erasures.begin_now(account_id, unspent, Actor.OPERATOR, order)
        customer_id = ""
        held = 0
        seen = None
        for look in range(self.looks_max):
            progress = await work.perform(account_id)
            if progress is not None:
                customer_id = customer_id or progress.customer_id
            # No progress: another process is working on it, or has just finished it.
            is_erased = progress.is_erased if progress else await work.is_erased(account_id)
            if is_erased:
                left_micros = await work.gate.balance(account_id)
                erasure = await work.erasures.find(account_id)
                has_old_files = erasure is not None and erasure.is_open
                return Deletion(
                    DeletionOutcome.DELETED, left_micros, customer_id, has_old_files=has_old_files
                )
            until = await work.erasures.held_until(account_id)
            # A live process renews its hold with each step.
            held = held + 1 if until is not None and until == seen else 0
            seen = until
            if held >= self.held_looks_max and self._outlasts(until, look):
                return Deletion(DeletionOutcome.HELD, held_until=until)
            await asyncio.sleep(self.look_every_s)
        return Deletion(DeletionOutcome.CALLS_GO_ON, await self._left(account_id))

    async def _choice(self, account_id: str) -> Unspent | None:
        """Return what a holder who asked for the deletion wants done with the remaining credit."""
        erasure = await self.erasure.erasures.find(account_id)
        if erasure is None or not erasure.is_open or erasure.unspent is Unspent.KEEP:
            return None
        return erasure.unspent

    def _outlasts(self, until: datetime | None, look: int) -> bool:
        """Return whether someone may hold a deletion for longer than the looks that are left."""
        left = timedelta(seconds=(self.looks_max - look) * self.look_every_s)
        return until is not None and until > self.erasure.clock() + left

    async def _left(self, account_id: str) -> int:
        """Return the account's credit including its holds, in micros."""
        gate = self.erasure.gate
        held = sum(
            call.held_micros for call in await gate.open_calls() if call.account_id == account_id
        )
        return held + await gate.balance(account_id)
