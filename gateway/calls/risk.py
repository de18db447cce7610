"""Reads what the rules of admission depend on from the book, as rarely as possible; applies them.

Nothing is read for accounts of programs, nor for a rule that is off; whether a rule is lifted is
checked only once it refuses. Results are cached for some seconds within one key epoch, which ends
with each change that matters here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from billing.clock import Clock, utc_now
from billing.spend_limits import Budget, Period, SpendLimits, cap_name, holder_name
from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.heartbeat.cached import Remembered
from gateway.limits.fraud import (
    AccountFacts,
    Allowance,
    Policy,
    is_home,
    may_call_country,
    new_card_bound,
)
from gateway.nanoseconds import SECOND_NS
from gateway.ports import Account, KeyEpochs

_FRESH_NS: Final = 10 * SECOND_NS
"""How long accounts of keys and of sessions are cached."""
_STALE_NS: Final = 60 * SECOND_NS
"""The same while SQL is away."""
_KNOWN_MAX: Final = 10_000


class RiskBook(Protocol):
    """What is stored about accounts. Raises StoreUnavailableError."""

    async def standing(self, account_id: str) -> AccountFacts:
        """Return what the rules depend on."""


@dataclass(frozen=True, slots=True)
class Risk:
    """The rules that depend on the book."""

    policy: Policy
    book: RiskBook
    epochs: KeyEpochs
    clock_ns: Callable[[], int] = time.monotonic_ns
    utc_now: Clock = utc_now
    _known: Remembered[AccountFacts] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Start with an empty cache."""
        object.__setattr__(self, "_known", Remembered(self.epochs, _KNOWN_MAX))

    async def check_country(self, account: Account, epoch: str, country: str) -> None:
        """Refuse a country that the account does not call.

        Raises RequestRefusedError, StoreUnavailableError.
        """
        if not account.has_holder or is_home(self.policy, country):
            return
        standing = await self._standing(account.id, epoch)
        if not may_call_country(self.policy, standing, country, self.utc_now()):
            raise RequestRefusedError("country_closed", field="destination")

    async def new_card_bound(self, account: Account, epoch: str, *, recheck: bool) -> int | None:
        """Return the most micros that may be spent today while the card is new; None: no limit.

        With `recheck` an account that had not paid yet is read again: its first payment may have
        come since. Raises StoreUnavailableError.
        """
        if not account.has_holder or not self.policy.new_card_days:
            return None
        standing = await self._standing(account.id, epoch)
        if recheck and standing.first_paid_at is None:
            standing = await self._read(account.id, epoch)
        return new_card_bound(self.policy, standing, self.utc_now())

    async def has_paid(self, account: Account) -> bool:
        """Return whether an account has ever paid; for a program's account the operator vouches.

        Raises StoreUnavailableError.
        """
        if not account.has_holder:
            return True
        return (await self._read(account.id, "")).first_paid_at is not None

    async def lifted(self, account: Account, epoch: str) -> frozenset[Allowance]:
        """Return the rules that an operator has lifted; none while the book is away."""
        with contextlib.suppress(StoreUnavailableError):
            return (await self._standing(account.id, epoch)).lifted_at(self.utc_now())
        return frozenset()

    async def _standing(self, account_id: str, epoch: str) -> AccountFacts:
        known = self._known.find(account_id, epoch, self.clock_ns(), _FRESH_NS)
        return await self._read(account_id, epoch) if known is None else known

    async def _read(self, account_id: str, epoch: str) -> AccountFacts:
        now_ns = self.clock_ns()
        try:
            standing = await self.book.standing(account_id)
        except StoreUnavailableError:
            known = self._known.find(account_id, epoch, now_ns, _STALE_NS)
            if known is None:
                raise
            return known
        self._known.keep(account_id, standing, epoch, now_ns)
        return standing


def within_day(limits: SpendLimits, account_id: str, micros: int) -> SpendLimits:
    """Return limits whose budget for the account's day is at most this.

    It is counted like the account's own daily limit, so that the spend gate ends calls at it. A
    partition that Valkey has lost is refilled without it, and then counts from zero.
    """
    day = Budget(holder_name("account", account_id), Period.DAY, micros)
    return SpendLimits(None, (day,)).within(limits)


def day_spent(account_id: str, at: datetime) -> str:
    """Return the name under which the spend gate counts an account's day."""
    return cap_name(holder_name("account", account_id), Period.DAY, at)
