"""The acts of an operator on an account: view, freeze, lock, sign out, credit, lift rules.

Each act is committed together with its line in the audit log, which names the operator and the
reason. The command line and the API both go through here. An operator can read no password, secret
or second factor, and nothing here acts as the person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.ports import Sessions
from accounts.session import Session
from billing.clock import Clock
from billing.money import format_money
from gateway.administration.ports import LIFTED_MAX, AccountState, AdminBook
from gateway.errors import RequestRefusedError
from gateway.http.sessions import forget_sessions
from gateway.limits.fraud import Allowance
from gateway.operators import Order

FreezeGate = Callable[[str, bool], Awaitable[None]]
"""Freezes or thaws an account at the spend gate, whose live calls end."""
EndKeyEpoch = Callable[[], Awaitable[None]]
Credit = Callable[[str, int, str], Awaitable[bool]]
"""Books a credit in micros once per reference, and updates the gate; False: it was booked before.
Raises RequestRefusedError if the reference was used for another amount."""


@dataclass(frozen=True, slots=True)
class Administration:
    """The acts of operators. All raise LookupError and StoreUnavailableError; a repeat is safe."""

    book: AdminBook
    sessions: Sessions
    freeze_gate: FreezeGate
    end_key_epoch: EndKeyEpoch
    credit_account: Credit
    clock: Clock

    async def sessions_of(self, state: AccountState) -> Sequence[Session]:
        """Return an account's valid sessions."""
        if state.credentials_epoch is None or state.locked_at is not None:
            return []
        kept = await self.sessions.of_account(state.found.id)
        return [each for _, each in kept if each.credentials_epoch == state.credentials_epoch]

    async def freeze(self, account_id: str, order: Order, *, frozen: bool) -> None:
        """Freeze an account, whose live calls end, or thaw it."""
        # The book first: the gate is reconciled with it after an outage.
        is_frozen = await self.book.freeze(account_id, frozen, order)
        await self.freeze_gate(account_id, is_frozen)
        await self.end_key_epoch()

    async def lock(self, account_id: str, order: Order) -> None:
        """Lock the holder out: all sessions end, and a mail says how to get back in."""
        await self.book.lock(account_id, order)
        await self._ended(account_id)

    async def unlock(self, account_id: str, order: Order) -> None:
        """Let the holder in again with the password they have."""
        await self.book.unlock(account_id, order)
        await self.end_key_epoch()

    async def sign_out(self, account_id: str, order: Order) -> None:
        """Sign the holder out everywhere."""
        await self.book.sign_out(account_id, order)
        await self._ended(account_id)

    async def reset_second_factor(self, account_id: str, order: Order) -> None:
        """Remove the second factor and passkeys of a person who has lost them.

        The password stays.
        """
        if not (await self.book.state(account_id)).found.has_holder:
            raise LookupError("no holder of this account")
        await self.book.reset_second_factor(account_id, order)
        await self._ended(account_id)

    async def credit(self, account_id: str, micros: int, reference: str, order: Order) -> bool:
        """Give credit once per reference; below zero: take it back. False: it was booked before.

        Raises RequestRefusedError if the balance is less than what is to be taken back, or the
        reference was used for another amount.
        """
        state = await self.book.state(account_id)
        if state.found.deleted:
            raise LookupError("the account is deleted")
        if micros + state.balance_micros < 0:
            raise RequestRefusedError("balance_too_low")
        is_new = await self.credit_account(account_id, micros, reference)
        amount = format_money(micros, state.currency)
        await self.book.note_credit(account_id, reference, amount, order)
        return is_new

    async def note_ended_call(self, account_id: str, call_id: str, order: Order) -> None:
        """Note that an operator ends a call. Raises LookupError if there is no such account."""
        await self.book.note_ended_call(account_id, call_id, order)

    async def note_log_level(self, node: str, level: str, order: Order) -> None:
        """Note that an operator changes the log level of a node."""
        await self.book.note_log_level(node, level, order)

    async def lift(self, account_id: str, rule: Allowance, until: datetime, order: Order) -> None:
        """Lift a rule of admission.

        Raises ValueError if the end is past or too far in the future.
        """
        if not timedelta() < until - self.clock() <= LIFTED_MAX:
            raise ValueError(f"the end must be in the future, by at most {LIFTED_MAX.days} days")
        await self.book.lift(account_id, rule, until, order)
        await self.end_key_epoch()

    async def restore(self, account_id: str, rule: Allowance, order: Order) -> None:
        """Restore a rule of admission."""
        await self.book.restore(account_id, rule, order)
        await self.end_key_epoch()

    async def _ended(self, account_id: str) -> None:
        await self.end_key_epoch()
        await forget_sessions(self.sessions, account_id)
