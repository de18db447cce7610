"""Deletes an account at an operator's command, and waits until it is done.

It begins the same deletion that a holder's request leads to (`account_erasure`), but without grace.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from accounts.audit_log import Actor
from accounts.erasure import Unspent
from gateway.charging.account_erasure import AccountErasure
from gateway.charging.recovery import bring_credits
from gateway.operators import Order

LOOK_EVERY_S = 0.5
HELD_LOOKS_MAX = 4
"""Looks, 2 s in all, within which a live process reaches the next step of a deletion."""
LOOKS_MAX = 90
"""Looks for what a deletion waits for, 45 s in all: calls of a node that is gone wait for the
sweeper."""


class Outcome(Enum):
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

    outcome: Outcome
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
                return Deletion(Outcome.NO_SERVICE, left_micros)
            if choice is None and not write_off:
                return Deletion(Outcome.HAS_CREDIT, left_micros)
        unspent = Unspent.GIVE_UP if write_off else Unspent.KEEP
        if profile.deleted and not (write_off and left_micros):
            # It only finishes what someone else ordered, whose entry is in the log.
            order = None
        await work.erasures.begin_now(account_id, unspent, Actor.OPERATOR, order)
        customer_id, held, seen = "", 0, None
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
                    Outcome.DELETED, left_micros, customer_id, has_old_files=has_old_files
                )
            until = await work.erasures.held_until(account_id)
            # A live process renews its hold with each step.
            held = held + 1 if until is not None and until == seen else 0
            seen = until
            if held >= self.held_looks_max and self._outlasts(until, look):
                return Deletion(Outcome.HELD, held_until=until)
            await asyncio.sleep(self.look_every_s)
        return Deletion(Outcome.CALLS_GO_ON, await self._left(account_id))

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
