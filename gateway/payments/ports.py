"""Declares the ports of payments: the payment service, the books, and the running gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from billing.payments import (
    AUTOMATIC,
    AutoHistory,
    AutoRefusal,
    BookedCredit,
    ChargeRequest,
    CheckoutPage,
    Decide,
    Intent,
    Payment,
    PaymentProfile,
    PaymentState,
    Refund,
    WriteRequest,
)

OnCredit = Callable[[str], Awaitable[None]]
"""Brings an account's booked credits to the spend gate and to its live calls."""
OnFreeze = Callable[[str, bool], Awaitable[None]]
"""Freezes an account and ends its calls at once, or unfreezes it."""


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """The order of a page on which a person pays."""

    payment: Payment
    minor: int
    save_card: bool
    customer_id: str
    """Empty for a person unknown to the service."""
    email: str
    success_url: str
    cancel_url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Charge:
    """The charge of a saved card in its holder's absence."""

    payment: Payment
    minor: int
    customer_id: str
    payment_method_id: str


@dataclass(frozen=True, slots=True)
class MissedEvents:
    """A page of events that the service could not deliver."""

    objects: Sequence[tuple[str, str]]
    """Kind and id of the object of each event."""
    after: str
    """Where the next page begins; empty on the last."""


@dataclass(frozen=True, slots=True)
class PaymentTrace:
    """What one object of the service shows of a payment in a list."""

    intent_id: str
    """Empty for a page that no one has paid on yet."""
    amounts: Mapping[str, int]
    """Reference of what the object may prove -> minor units; 0 for what it does not prove. See
    `billing.payments.amounts_of`."""
    currency: str
    """ISO 4217, upper case."""
    account_id: str = ""
    payment_id: str = ""
    """From our metadata on the object itself, if it can carry any."""
    checkout_id: str = ""
    """Of a page."""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of all objects of a kind, newest first."""

    count: int
    traces: Sequence[PaymentTrace]
    """Of pages, and of other objects that belong to a payment intent."""
    after: str
    """Where the next page begins; empty on the last."""


class PaymentService(Protocol):
    """The payment service. Every method is bounded in time and raises PaymentError.

    Methods that create something send an idempotency key made of our ids: repeated within a day,
    they have the effect, and the answer, of the first time.
    """

    async def open_checkout(self, order: CheckoutOrder) -> CheckoutPage:
        """Open a page to pay on."""

    async def checkout(self, checkout_id: str) -> CheckoutPage:
        """Fetch a page's state."""

    async def expire_checkout(self, checkout_id: str) -> None:
        """Close a page that no one has paid; refused if it was paid, or has ended."""

    async def find_checkout(self, payment: Payment) -> CheckoutPage | None:
        """Look for a page that was opened for a payment but not recorded; None if there is none."""

    def charge_request(self, charge: Charge) -> str:
        """Write the request that charges a saved card; sends nothing.

        It names the card and its customer by their ids, and no address.
        """

    async def charge(self, payment_id: str, request: str) -> Intent:
        """Charge a saved card. A decline is a PaymentError with the intent that failed.

        The request must be the same each time; to a different one the service replies that the key
        is taken.
        """

    async def find_charge(self, payment: Payment, request: str) -> Intent | None:
        """Look for the charge of a payment, with any outcome; None if there is none.

        Without refunds and disputes. `request` is empty if it is no longer known, or if the charge
        may have been made by another one. A PaymentError that is not retryable: there are too many
        charges to tell.
        """

    async def intent(self, intent_id: str) -> Intent:
        """Fetch a payment intent with its refunds and disputes."""

    async def intent_id_of(self, kind: str, object_id: str) -> str:
        """Return the payment intent of a `charge`, `refund` or `dispute`, or ""."""

    async def refund(self, intent_id: str, minor: int, our_id: str) -> Refund:
        """Send part of a payment back to its card."""

    async def give_evidence(
        self, dispute_id: str, evidence: Mapping[str, str], *, submit: bool
    ) -> None:
        """Store evidence against a dispute; with `submit` send it to the bank, for good."""

    async def missed_events(self, since: datetime, after: str) -> MissedEvents:
        """Return a page of undelivered events since then, newest first.

        `after` is where the previous page ended, empty for the first.
        """

    async def history(self, kind: str, since: datetime, after: str) -> HistoryPage:
        """Return a page of the objects of a kind created since then, newest first.

        Kinds are those of `events.HISTORY`. `after` is where the previous page ended.
        """

    async def forget_customer(self, customer_id: str) -> None:
        """Delete a customer with all saved cards; a missing one counts as deleted."""

    async def close(self) -> None:
        """Close connections."""


class PaymentStore(Protocol):
    """Payments and saved cards. Every method raises StoreUnavailableError.

    See `billing.stores.payments`.
    """

    async def create(
        self, payment_id: str, account_id: str, kind: str, micros: int, currency: str
    ) -> Payment:
        # The id may be derived from an idempotency key, so that all nodes create the same row.
        """Create a payment, or return the one with this id. Raises LookupError: no account."""

    async def create_checkout(
        self, payment_id: str, account_id: str, micros: int, currency: str, *, since: datetime
    ) -> Payment:
        """Create a checkout, or return an open one of the same amount begun since then."""

    async def begin_charge(
        self,
        account_id: str,
        payment_id: str,
        decide: Decide,
        write: WriteRequest,
        *,
        kind: str = AUTOMATIC,
    ) -> Payment | AutoRefusal:
        """Create a charge of the saved card if `decide` allows it, or return the one with this id.

        At most one is in flight at a time, of any kind. The request that `write` returns is stored
        with it, until its outcome is known.
        """

    async def charge_request(self, payment_id: str) -> ChargeRequest | None:
        """Return the request of a charge that has no outcome yet."""

    async def note_try(self, payment_id: str) -> None:
        """Record that the request of a charge is sent now."""

    async def given_up(self, since: datetime, limit: int) -> Sequence[Payment]:
        """Return charges begun since then that failed without the service's word, oldest first."""

    async def record(
        self,
        payment_id: str,
        seen: PaymentState,
        *,
        checkout_id: str | None = None,
        payment_intent_id: str | None = None,
        receipt_url: str = "",
        failure: str = "",
    ) -> Payment:
        """Store what the payment service reports; a late report undoes nothing."""

    async def find(self, payment_id: str) -> Payment | None:
        """Return a payment."""

    async def find_by_intent(self, payment_intent_id: str) -> Payment | None:
        """Return the payment that a payment intent belongs to."""

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None
    ) -> Sequence[Payment]:
        """Return an account's payments, newest first, older than the payment `before`."""

    async def pending(self, before: datetime, limit: int) -> Sequence[Payment]:
        """Return payments that are not final and not checked since then, oldest first."""

    async def is_booked(self, reference: str) -> bool:
        """Return whether a credit with this reference is, or was, booked."""

    async def closed(self, references: Collection[str]) -> Collection[str]:
        """Return the references of those booked in closed books, or booked but unreadable."""

    async def booked(self, references: Collection[str]) -> Mapping[str, BookedCredit]:
        """Return the credits with these references, by reference."""

    async def entries(self, payment: Payment) -> Sequence[BookedCredit]:
        """Return all credits that name a payment."""

    async def credited(
        self, since: datetime, after: tuple[str, int], limit: int
    ) -> tuple[Sequence[BookedCredit], tuple[str, int] | None]:
        """Return a page of payments' credits booked since then, and where the next begins."""

    async def find_all(
        self,
        payment_ids: Collection[str],
        checkout_ids: Collection[str] = (),
        intent_ids: Collection[str] = (),
    ) -> Mapping[str, Payment]:
        """Return payments with these ids, pages and intents; none that cannot be read."""

    async def is_disputed(self, account_id: str, *, besides: str) -> bool:
        """Return whether another payment of the account is disputed or was lost."""

    async def profile(self, account_id: str) -> PaymentProfile:
        """Return an account's profile. Raises LookupError: no account."""

    async def save_card(
        self, account_id: str, customer_id: str, payment_method_id: str, email: str = ""
    ) -> bool:
        """Save the card that may be charged without asking; False for a deleted account."""

    async def forget_card(self, account_id: str, reason: str) -> None:
        """Delete the card and its customer, and switch automatic top-ups off."""

    async def set_auto(
        self,
        account_id: str,
        *,
        enabled: bool,
        threshold_micros: int,
        amount_micros: int,
        key_id: str = "",
    ) -> PaymentProfile:
        """Store the holder's settings for automatic top-ups; `key_id` as for `Payments`."""

    async def switch_auto_off(self, account_id: str, reason: str) -> None:
        """Switch automatic top-ups off."""

    async def history(self, account_id: str) -> AutoHistory:
        """Return an account's charges of its saved card within the last day."""
