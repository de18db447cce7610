"""Deletes an account: ends its calls, refuses its keys, forgets its holder and its card.

What the books need stays: the account's id, its calls, payments and ledger. Every step may be
repeated, so that a deletion which broke off is finished by the next one. Knows no command line, no
database and no vendor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from billing.payments import PaymentProfile
from billing.ports import LedgerStore, SpendGate
from gateway.charging.recovery import bring_credits

LOOK_EVERY_S = 0.5
LOOKS_MAX = 90
"""Looks for calls that have not ended, 45 s in all: those of a node that is gone wait for the
sweeper."""
WRITE_OFFS_MAX = 3
"""Attempts to bring a balance to nothing; a credit that arrives meanwhile costs one."""


class Accounts(Protocol):
    """Accounts and their keys. Raises StoreUnavailableError."""

    async def mark_deleted(self, account_id: str) -> None:
        """Freeze an account for good and refuse its keys. Raises LookupError if there is none."""

    async def erase(self, account_id: str) -> None:
        """Forget whom an account belonged to."""


class Profiles(Protocol):
    """The saved cards of accounts."""

    async def profile(self, account_id: str) -> PaymentProfile:
        """Return an account's profile. Raises LookupError if there is no such account."""


class Outcome(Enum):
    """The outcome of a deletion."""

    DELETED = "deleted"
    HAS_CREDIT = "has_credit"
    """Nothing was changed: what is left must be refunded or written off."""
    CALLS_GO_ON = "calls_go_on"
    """No new calls are possible, but not all calls have ended: delete again."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """The outcome, and what the account has left: in micros, below zero if it owes."""

    outcome: Outcome
    left_micros: int = 0
    customer_id: str = ""
    """A customer whom the payment service still knows, because no service is set up here."""


@dataclass(frozen=True, slots=True)
class AccountDeletion:
    """Deletes accounts."""

    gate: SpendGate
    ledger: LedgerStore
    accounts: Accounts
    profiles: Profiles
    forget_customer: Callable[[str], Awaitable[None]] | None
    """Deletes a customer and the saved cards at the payment service; None if none is set up."""
    end_sessions: Callable[[str], Awaitable[None]]
    """Signs an account's holder out everywhere. Raises StoreUnavailableError."""
    looks_max: int = LOOKS_MAX
    look_every_s: float = LOOK_EVERY_S

    async def delete(self, account_id: str, *, write_off: bool) -> Deletion:
        """Delete an account; repeating it finishes what is left to do.

        Args:
            account_id: The account.
            write_off: Bring what it has left, or owes, to nothing.

        Raises:
            LookupError: no such account.
            PaymentError: the payment service did not forget the card; delete again.
            StoreUnavailableError: delete again.

        """
        profile = await self.profiles.profile(account_id)
        # The gate's balance decides below: it must know every credit that is booked.
        await bring_credits(self.gate, self.ledger, account_id)
        left_micros = await self._left(account_id)
        # Credit that comes to a deleted account later does not undo its deletion.
        if left_micros and not write_off and not profile.deleted:
            return Deletion(Outcome.HAS_CREDIT, left_micros)
        # The book first: a gate that is away is brought in line with it later.
        await self.accounts.mark_deleted(account_id)
        await self.gate.freeze(account_id, True)
        if not await self._have_calls_ended(account_id):
            return Deletion(Outcome.CALLS_GO_ON, await self._left(account_id))
        # Only now: what a live call holds is part of what is left.
        if write_off:
            await self._write_off(account_id)
        # Read again: a card may have been saved until the account was marked.
        customer_id = (await self.profiles.profile(account_id)).customer_id or ""
        if customer_id and self.forget_customer is not None:
            await self.forget_customer(customer_id)
            customer_id = ""
        # Late: the profile with the customer's id goes with it.
        await self.accounts.erase(account_id)
        # Once there is no holder: nobody can sign in any more.
        await self.end_sessions(account_id)
        return Deletion(Outcome.DELETED, await self.gate.balance(account_id), customer_id)

    async def _left(self, account_id: str) -> int:
        """Return what an account has, its holds included, in micros."""
        calls = await self.gate.open_calls()
        held = sum(call.held_micros for call in calls if call.account_id == account_id)
        return held + await self.gate.balance(account_id)

    async def _have_calls_ended(self, account_id: str) -> bool:
        """Wait until no call is open: nodes end those of a frozen account within a second."""
        for _ in range(self.looks_max):
            if not any(c.account_id == account_id for c in await self.gate.open_calls()):
                return True
            await asyncio.sleep(self.look_every_s)
        return False

    async def _write_off(self, account_id: str) -> None:
        for _ in range(WRITE_OFFS_MAX):
            # The number of the last credit is part of the reference: a later write-off is another
            # one, and two deletions at the same time book it once.
            sequence = await self.gate.credit_sequence(account_id)
            balance_micros = await self.gate.balance(account_id)
            if not balance_micros:
                return
            # A credit came between the two reads: its number does not belong to this balance.
            if await self.gate.credit_sequence(account_id) != sequence:
                continue
            await self.ledger.add_credit(
                account_id,
                -balance_micros,
                reference=f"closing:{account_id}:{sequence}",
                kind="closing",
                reason="The account was deleted.",
            )
            await bring_credits(self.gate, self.ledger, account_id)
