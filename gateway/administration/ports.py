"""Describes what operators see of accounts, and where what they do with them is stored.

Shapes only: nothing is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from accounts.audit_log import Act, Actor
from accounts.data_request import DataRequest, Right
from gateway.limits.fraud import Allowance
from gateway.operators import Order

FOUND_MAX: Final = 50
"""Accounts per page of a search."""

LINES_MAX: Final = 200
"""Lines per page of the audit log."""

QUERY_MIN: Final = 2
"""Minimum length of a search: one character would find everyone."""

LIFTED_MAX: Final = timedelta(days=366)
"""How long a rule can be lifted: an exception that is never reviewed becomes the rule."""


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """An account found by a search."""

    id: str
    email: str = field(repr=False)
    """Its holder's address, or where notices go; empty for none."""
    has_holder: bool
    frozen: bool
    locked: bool
    deleted: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the audit log."""

    number: int
    at: datetime
    act: Act
    actor: Actor
    operator: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often a rule of admission has refused calls within an hour."""

    hour: datetime
    rule: str
    count: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """The state of an account."""

    found: FoundAccount
    currency: str
    balance_micros: int
    """From the book: calls that are not booked yet are not included."""
    freezes: Sequence[str]
    """Why it is frozen, as far as known; empty if it is not."""
    is_proven: bool
    locked_at: datetime | None
    has_second_factor: bool
    credentials_epoch: int | None
    """None if there is no holder."""
    last_sign_in_at: datetime | None
    devices: int
    keys: int
    """API keys that are not revoked."""
    opened: Sequence[str]
    """Countries that the holder has opened."""
    lifted: Mapping[Allowance, datetime]
    """Rules of admission that were lifted -> until when, including expired ones."""
    refusals: Sequence[Refusals]
    """The newest ones."""


class Register(Protocol):
    """What people requested about their data. Raises StoreUnavailableError."""

    async def page(
        self, *, account_id: str, is_open: bool, limit: int, before: int | None
    ) -> Sequence[DataRequest]:
        """Return requests, newest first; or the open ones, those due first on top.

        An empty `account_id` means all; the page begins after the request with the number `before`.
        """

    async def ask(self, account_id: str, right: Right, operator: str) -> None:
        """Record a request, unless the same one is open. Raises LookupError: no account."""

    async def close(self, number: int, note: str, operator: str) -> bool:
        """Record that a request is answered; False if none with this number is open.

        `note` says what was done, in printable characters, NOTE_MAX at most.
        """


class AdminBook(Protocol):
    """The book as operators use it. Raises StoreUnavailableError, and LookupError: no account."""

    async def find(self, text: str, *, limit: int, after: str = "") -> Sequence[FoundAccount]:
        """Return accounts whose id or address contains a text, ordered by id."""

    async def state(self, account_id: str) -> AccountState:
        """Return the state of an account."""

    async def lines(
        self, account_id: str, *, limit: int, before: int | None = None
    ) -> Sequence[Line]:
        """Return lines of the audit log, newest first."""

    async def freeze(self, account_id: str, frozen: bool, order: Order) -> bool:
        """Freeze or thaw; return whether it is frozen from now on, perhaps for another reason."""

    async def lock(self, account_id: str, order: Order) -> None:
        """Lock its holder out, until they set another password. LookupError: no holder."""

    async def unlock(self, account_id: str, order: Order) -> None:
        """Let its holder in again. LookupError: no holder."""

    async def sign_out(self, account_id: str, order: Order) -> None:
        """End all sessions of its holder. LookupError: no holder."""

    async def reset_second_factor(self, account_id: str, order: Order) -> bool:
        """Remove second factor and passkeys; False if there are none, or no holder."""

    async def note_credit(self, account_id: str, reference: str, amount: str, order: Order) -> None:
        """Record once that an operator has given credit, or taken it back.

        `amount` is for people: "$5.00" or "-$5.00".
        """

    async def note_ended_call(self, account_id: str, call_id: str, order: Order) -> None:
        """Record that an operator ended a live call."""

    async def note_log_level(self, node: str, level: str, order: Order) -> None:
        """Record that an operator changed the log level of a node."""

    async def lift(self, account_id: str, rule: Allowance, until: datetime, order: Order) -> None:
        """Lift a rule of admission until a given time."""

    async def restore(self, account_id: str, rule: Allowance, order: Order) -> None:
        """Put a rule of admission back in force."""
