"""Declares the pages of money; each dataclass is all that its template gets."""

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
    """A change of an account's credit."""

    at: datetime
    kind: str
    """A key of the words under `ledger.`."""
    why: str
    """A key of the words under `refund.`; empty for none."""
    payment_reason: str
    """A key of the words under `payment_reason.`; empty for none."""
    reason: str
    """The reason, if it has no words in our languages."""
    amount: str
    balance: str
    call_id: str
    """For a link to the call's page; empty for none."""
    is_forgotten: bool
    """Whether the details of the call are no longer stored."""


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
    """The settings of automatic top-ups."""

    is_on: bool
    threshold: str
    amount: str
    off_reason: str
    """`ACCOUNT_LOCKED`, or a key of the words under `decline.`; empty if the person did it."""


@dataclass(frozen=True, slots=True)
class CreditPage:
    """The balance, how to add to it, and its latest changes."""

    template: ClassVar[str] = "credit.html"
    balance: str
    """As money; empty if it is unavailable."""
    countries: Sequence[str]
    """ISO 3166 alpha-2 codes that can be chosen."""
    country: str
    lasting: Sequence[Lasting]
    offer: Offer | None
    """None if nothing can be paid."""
    closed: str
    """Why the account takes no payments, "leaving" or "restricted"; empty if it does."""
    is_frozen: bool
    """By someone other than its holder: debts can be paid, but no calls placed."""
    auto: AutoTopUp
    lines: Sequence[StatementRow]
    has_more: bool
    said: str = ""
    other: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatementPage:
    """All changes of an account's credit, a page at a time."""

    template: ClassVar[str] = "statement.html"
    lines: Sequence[StatementRow]
    is_first: bool
    following: str
    """URL query of the next, older lines; empty for none."""


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
    """URL query of the next, older payments; empty for none."""


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """The state of one payment."""

    template: ClassVar[str] = "payment.html"
    payment: PaymentRow
    is_pending: bool
    looks_again: bool
    """Whether the page reloads itself."""


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
