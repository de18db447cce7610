"""Describes what operators see of accounts and what they do with them.

Shapes only, pure: what an operator says is checked, nothing is read. Knows no store and no request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from accounts.audit_log import Act, Actor
from accounts.data_request import DataRequest, Right
from gateway.limits.fraud import Allowance

FOUND_MAX: Final = 50
"""Accounts of one page of a search."""
LINES_MAX: Final = 200
"""Lines of one page of the audit log."""
QUERY_MIN: Final = 2
"""Characters of a search: one would find everybody."""
REASON_MAX: Final = 300
NODES: Final = "(nodes)"
"""Under which the audit log keeps what is done with nodes; no account can have this id."""
OPERATOR_MAX: Final = 64
LIFTED_MAX: Final = timedelta(days=366)
"""How long a rule can be lifted: an exception that nobody looks at again becomes the rule."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who acts, and why: both are kept; the reason is told a holder who asks for their data.

    Raises ValueError where one is missing or too long.
    """

    operator: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse what says nothing."""
        for text, longest in ((self.operator, OPERATOR_MAX), (self.reason, REASON_MAX)):
            if not text.strip() or len(text) > longest or not text.isprintable():
                raise ValueError(
                    f"an operator and a reason of 1 to {longest} characters are needed"
                )


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """An account that a search has found."""

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
    """How an account stands."""

    found: FoundAccount
    currency: str
    balance_micros: int
    """Of the book: calls that are not booked yet are not in it."""
    freezes: Sequence[str]
    """Why it is frozen, as far as that is known; empty where it is not."""
    is_proven: bool
    locked_at: datetime | None
    has_second_factor: bool
    credentials_epoch: int | None
    """None where there is no holder."""
    last_sign_in_at: datetime | None
    devices: int
    keys: int
    """API keys that are not revoked."""
    opened: Sequence[str]
    """Countries that the holder has opened."""
    lifted: Mapping[Allowance, datetime]
    """Rules of admission that were lifted, and until when, be it past or not."""
    refusals: Sequence[Refusals]
    """The newest."""


class Register(Protocol):
    """What people asked for about their data. Raises StoreUnavailableError."""

    async def page(
        self, *, account_id: str, is_open: bool, limit: int, before: int | None
    ) -> Sequence[DataRequest]:
        """Return requests, the newest first, or those that are open, the one first that is due.

        An empty `account_id` is of all; the page begins after the request of the number `before`.
        """

    async def ask(self, account_id: str, right: Right, operator: str) -> None:
        """Note a request; nothing where the same one is open. Raises LookupError: no account."""

    async def close(self, number: int, note: str, operator: str) -> bool:
        """Note that a request is answered; False where none of this number is open.

        `note` says what was done, in printable characters, NOTE_MAX at most.
        """


class AdminBook(Protocol):
    """The book as operators use it. Raises StoreUnavailableError, and LookupError: no account."""

    async def find(self, text: str, *, limit: int, after: str = "") -> Sequence[FoundAccount]:
        """Return accounts whose id or address holds a text, by their ids."""

    async def state(self, account_id: str) -> AccountState:
        """Return how an account stands."""

    async def lines(
        self, account_id: str, *, limit: int, before: int | None = None
    ) -> Sequence[Line]:
        """Return lines of the audit log, the newest first."""

    async def freeze(self, account_id: str, frozen: bool, order: Order) -> bool:
        """Freeze or thaw; return whether it is frozen from now on, be it for another reason."""

    async def lock(self, account_id: str, order: Order) -> None:
        """Lock its holder out, until they set another password. LookupError: no holder."""

    async def unlock(self, account_id: str, order: Order) -> None:
        """Let its holder in again. LookupError: no holder."""

    async def sign_out(self, account_id: str, order: Order) -> None:
        """End all sessions of its holder. LookupError: no holder."""

    async def reset_second_factor(self, account_id: str, order: Order) -> bool:
        """Remove second factor and passkeys; False where there are none, or no holder."""

    async def note_credit(self, account_id: str, reference: str, amount: str, order: Order) -> None:
        """Write down once that an operator has given credit, or taken it back.

        `amount` is for people: "$5.00" or "-$5.00".
        """

    async def note_ended_call(self, account_id: str, call_id: str, order: Order) -> None:
        """Note that an operator ends a live call."""

    async def note_log_level(self, node: str, level: str, order: Order) -> None:
        """Note that an operator has a node log from another level on."""

    async def lift(self, account_id: str, rule: Allowance, until: datetime, order: Order) -> None:
        """Lift a rule of admission until a moment."""

    async def restore(self, account_id: str, rule: Allowance, order: Order) -> None:
        """Let a rule of admission hold again."""
