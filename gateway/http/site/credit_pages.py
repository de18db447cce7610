"""Declares the pages of money; each dataclass is all that its template is given.

Holds shapes only; knows no request and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a balance lasts on one rate of a country."""

    description: str
    per_minute: str
    minutes: int


@dataclass(frozen=True, slots=True)
class StatementRow:
    """What moved an account's credit."""

    at: datetime
    kind: str
    """A key of the words under `ledger.`."""
    why: str
    """A key of the words under `refund.`; empty for none."""
    payment_reason: str
    """A key of the words under `payment_reason.`; empty for none."""
    reason: str
    """Why, where there are no words of ours for it."""
    amount: str
    balance: str
    call_id: str
    """Of a page about the call; empty for none."""
    is_forgotten: bool
    """Whether what the call was is kept no more."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be paid here, and how."""

    amounts: Sequence[tuple[str, str]]
    """As a form sends it, and as money."""
    minimum: str
    maximum: str
    once: str
    has_card: bool


@dataclass(frozen=True, slots=True)
class AutoTopUp:
    """What is set for automatic top-ups."""

    is_on: bool
    threshold: str
    amount: str
    off_reason: str
    """`ACCOUNT_LOCKED`, or a key of the words under `decline.`; empty where the person did it."""


@dataclass(frozen=True, slots=True)
class CreditPage:
    """What is left, how to have more, and what moved it last."""

    template: ClassVar[str] = "credit.html"
    balance: str
    """As money; empty where it cannot be said right now."""
    countries: Sequence[str]
    """ISO 3166 alpha-2 codes that can be asked for."""
    country: str
    lasting: Sequence[Lasting]
    offer: Offer | None
    """None where nothing can be paid."""
    closed: str
    """Why the account takes no payments, "leaving" or "restricted"; empty where it does."""
    is_frozen: bool
    """By somebody else than its holder: what is owed can be paid, and no call placed."""
    auto: AutoTopUp
    lines: Sequence[StatementRow]
    has_more: bool
    said: str = ""
    other: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatementPage:
    """All that moved an account's credit, a page at a time."""

    template: ClassVar[str] = "statement.html"
    lines: Sequence[StatementRow]
    is_first: bool
    following: str
    """Query of the address of the lines before these; empty for none."""


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """One payment."""

    id: str
    at: datetime
    kind: str
    """A key of the words under `payment_kind.`."""
    state: str
    """A key of the words under `payment.`."""
    amount: str
    refunded: str
    """As money; empty for nothing."""
    receipt_url: str
    """At the payment service; empty for none."""
    decline: str
    """A key of the words under `decline.`; empty for none."""


@dataclass(frozen=True, slots=True)
class PaymentsPage:
    """All payments of an account, a page at a time."""

    template: ClassVar[str] = "payments.html"
    payments: Sequence[PaymentRow]
    is_first: bool
    following: str
    """Query of the address of the payments before these; empty for none."""


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """How one payment stands."""

    template: ClassVar[str] = "payment.html"
    payment: PaymentRow
    is_pending: bool
    looks_again: bool
    """Whether the page loads itself again."""


@dataclass(frozen=True, slots=True)
class GoToPaymentPage:
    """The way to a payment page that no redirect may lead to."""

    template: ClassVar[str] = "go_to_payment.html"
    url: str
    amount: str


@dataclass(frozen=True, slots=True)
class AutoTopUpPage:
    """The form of automatic top-ups."""

    template: ClassVar[str] = "auto_top_up.html"
    is_on: bool
    threshold: str
    amount: str
    maximum: str
    day_maximum: str
    has_card: bool
    off_reason: str
    """As in `AutoTopUp`."""
    errors: Mapping[str, str] = field(default_factory=dict)


"""The pages of an account's money."""
