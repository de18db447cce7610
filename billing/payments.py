"""Derives what payments mean for an account: facts to book, states to show, card charges.

Works on snapshots of what the payment service says, complete and current each time, so reports may
come twice, late and in any order. Amounts are micros; the service's own are minor units of the
currency.

A saved card is charged by a request that is written once, before it is first sent, and always sent
again unchanged: the payment service rejects a different one under the same idempotency key (Stripe,
"Idempotent requests").

The ledger's reasons are our own sentences, in English, and never the payment service's words; pages
show them in their own language by `REASON_KEYS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from billing.errors import MoneyError
from billing.money import exponent

REFUND_REASON: Final = "Refund to your card."
REFUND_FAILED_REASON: Final = "The refund to your card failed."
REFUND_REASONS: Final = (REFUND_REASON, REFUND_FAILED_REASON)
"""Why the money of a refund goes, and why it comes back."""
DISPUTE_WON_REASON: Final = "The dispute was decided in favour of the payment."
ACCOUNT_DELETED_REASON: Final = "The account was deleted."
LEAVING_NAMES: Final = ("leaving", "leaving-2", "leaving-3")
"""End the names of refunds of a leaving account's credit: each of another attempt."""
ACCOUNT_LOCKED: Final = "account_locked"
"""Why automatic top-ups are off that a lock of the account has stopped: a code, as of declines."""

_DISPUTED_AT: Final = "The payment was disputed at the card's bank"
_BY_CODE: Final[Mapping[str, str]] = {
    "fraudulent": f"{_DISPUTED_AT}: it is said not to have been made by the card's holder.",
    "unrecognized": f"{_DISPUTED_AT}: the card's holder does not recognise it.",
    "duplicate": f"{_DISPUTED_AT}: it is said to have been charged twice.",
    "product_not_received": f"{_DISPUTED_AT}: it is said that nothing was received for it.",
    "product_unacceptable": f"{_DISPUTED_AT}: what was received is said not to be as promised.",
    "credit_not_processed": f"{_DISPUTED_AT}: it is said that a refund is owed.",
    "subscription_canceled": f"{_DISPUTED_AT}: it is said to have been cancelled before.",
    "debit_not_authorized": f"{_DISPUTED_AT}: it is said not to have been agreed to.",
    "insufficient_funds": f"{_DISPUTED_AT}: there was not enough money for it.",
    "incorrect_account_details": f"{_DISPUTED_AT}: the details of the bank account were wrong.",
    "bank_cannot_process": f"{_DISPUTED_AT}: the bank could not process it.",
}
"""Code of Stripe (API reference, "The dispute object", `reason`) -> sentence. Others, such as
`general`, say nothing."""

REASON_KEYS: Final[Mapping[str, str]] = {
    # The kind of the entry says all there is.
    REFUND_REASON: "",
    f"{_DISPUTED_AT}.": "",
    REFUND_FAILED_REASON: "refund_failed",
    DISPUTE_WON_REASON: "dispute_won",
    ACCOUNT_DELETED_REASON: "account_deleted",
    **{sentence: f"disputed_{code}" for code, sentence in _BY_CODE.items()},
}
"""Sentence of the ledger -> a key of the words under `payment_reason.`; empty where none are
needed."""


def dispute_reasons(code: str) -> tuple[str, str]:
    """Return why the money of a dispute goes, and why it comes back; any code is understood."""
    return _BY_CODE.get(code, f"{_DISPUTED_AT}."), DISPUTE_WON_REASON


DAY = timedelta(hours=24)
SOFT_DECLINES_MAX = 3
"""Declines within a day after which automatic top-ups are switched off; each doubles the pause."""

_SERVICE_EXPONENTS = {"ISK": 2}
"""Stripe, "Currencies", special cases: written with two decimals, which must be zero."""
_CHARGED_DECIMALS_MAX = 2
"""Stripe, "Currencies", three-decimal currencies: the last digit must be zero."""

_SOFT_DECLINES = frozenset(
    {
        "approve_with_id",
        "call_issuer",
        "card_velocity_exceeded",
        "do_not_honor",
        "generic_decline",
        "insufficient_funds",
        "issuer_not_available",
        "processing_error",
        "reenter_transaction",
        "try_again_later",
        "withdrawal_count_limit_exceeded",
    }
)
"""Stripe, "Decline codes": those after which the same card may work later."""

_WITHDRAWN = frozenset({"failed", "canceled"})
"""States of a refund that did not reach the customer."""
_OPEN_DISPUTE = frozenset({"needs_response", "under_review"})
_LOST_DISPUTE = frozenset({"lost", "appeal_needs_response", "appeal_under_review"})
_DISPUTED = _OPEN_DISPUTE | _LOST_DISPUTE | {"won"}
"""States of a dispute in which the money is, or was, withdrawn; inquiries (`warning_…`) and
prevented disputes withdraw none."""


def to_minor(micros: int, currency: str) -> int:
    """Return an amount in the payment service's minor units.

    Raises MoneyError for an unknown currency, and for an amount that cannot be charged exactly.
    """
    digits = exponent(currency)
    if micros % 10 ** (6 - min(digits, _CHARGED_DECIMALS_MAX)):
        raise MoneyError("not a whole number of the currency's minor units")
    return int(micros // 10 ** (6 - _SERVICE_EXPONENTS.get(currency, digits)))


def from_minor(minor: int, currency: str) -> int:
    """Return the micros of the payment service's amount. Raises MoneyError: unknown currency."""
    return int(minor * 10 ** (6 - _SERVICE_EXPONENTS.get(currency, exponent(currency))))


BY_PAGE = "checkout"
AUTOMATIC = "auto"
BY_TAP = "saved"
"""Kinds of a payment: made by a person on a page; or with a saved card, by us or at a tap."""
SAVED_CARD_KINDS = frozenset({AUTOMATIC, BY_TAP})
"""Kinds of payments that charge the saved card: one at a time, all within one daily limit."""
TOP_UP_REASONS = {
    BY_PAGE: "Top-up by card.",
    AUTOMATIC: "Automatic top-up.",
    BY_TAP: "Top-up by saved card.",
}
"""The reason that the customer reads beside a payment's credit."""


class PaymentState(Enum):
    """How far a payment has come; the value is stored in the book."""

    CREATED = "created"
    """Known to us only; the payment service may not know it yet."""
    OPEN = "open"
    """A page is waiting for the person."""
    PROCESSING = "processing"
    """Paid by a method that takes time."""
    FAILED = "failed"
    EXPIRED = "expired"
    PAID = "paid"
    DISPUTED = "disputed"
    WON = "won"
    """Paid, after a dispute."""
    LOST = "lost"
    """Taken back by the card holder's bank."""


PENDING = frozenset({PaymentState.CREATED, PaymentState.OPEN, PaymentState.PROCESSING})
"""States that are not final."""
TAKEN_BACK = frozenset({PaymentState.DISPUTED, PaymentState.LOST})
"""States that keep an account frozen."""
PAID_STATES = TAKEN_BACK | {PaymentState.PAID, PaymentState.WON}
"""States of a payment that was made, even if it was refunded or disputed since."""

# In order of progress. FAILED and EXPIRED rank alike, so that of the two the first report stays.
_RANK = {state: rank for rank, state in enumerate(PaymentState)} | {
    PaymentState.EXPIRED: list(PaymentState).index(PaymentState.FAILED)
}


def advance(current: PaymentState, seen: PaymentState) -> PaymentState:
    """Return the state after a report: the one further along, whatever came first."""
    return seen if _RANK[seen] > _RANK[current] else current


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of an account."""

    id: str
    account_id: str
    kind: str
    """One of `TOP_UP_REASONS`."""
    micros: int
    currency: str
    """ISO 4217."""
    state: PaymentState
    created_at: datetime
    updated_at: datetime
    refunded_micros: int = 0
    disputed_micros: int | None = 0
    """Taken by disputes and not given back; None if it was not recorded."""
    checkout_id: str | None = None
    payment_intent_id: str | None = None
    receipt_url: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """Money on its way back to a card."""

    id: str
    minor: int
    status: str
    our_id: str = ""
    """The id we gave it when we requested it; empty if it was made on the service's own pages."""
    currency: str = ""
    """ISO 4217; empty for its payment's currency."""
    intent_id: str = ""
    """The payment it says it belongs to; empty if it does not say."""

    @property
    def is_withdrawn(self) -> bool:
        """Whether it never reached the customer."""
        return self.status in _WITHDRAWN


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payment that the card holder denies."""

    id: str
    minor: int
    currency: str
    status: str
    intent_id: str = ""
    """The payment it says it belongs to; empty if it does not say."""
    reason: str = ""
    """The service's code for why; empty if it does not say."""

    @property
    def is_answerable(self) -> bool:
        """Whether evidence may still be submitted."""
        return self.status in _OPEN_DISPUTE


@dataclass(frozen=True, slots=True)
class Intent:
    """The service's payment intent, with its refunds and disputes."""

    id: str
    status: str
    received_minor: int
    currency: str
    """ISO 4217, upper case."""
    account_id: str = ""
    """From the metadata we gave the service; empty if the intent is not ours."""
    payment_id: str = ""
    customer_id: str = ""
    payment_method_id: str = ""
    is_card_saved: bool = False
    """Whether the person allowed us to charge the card again."""
    email: str = ""
    receipt_url: str = ""
    failure: str = ""
    """Decline code of the last attempt."""
    refunds: Sequence[Refund] = ()
    disputes: Sequence[Dispute] = ()
    kind: str = BY_PAGE
    """One of `TOP_UP_REASONS`."""


def noted(intent: Intent, *, account_id: str, payment_id: str) -> Intent:
    """Return an intent with metadata we recorded elsewhere, if it has none of its own."""
    return replace(
        intent,
        account_id=intent.account_id or account_id,
        payment_id=intent.payment_id or payment_id,
    )


@dataclass(frozen=True, slots=True)
class CheckoutPage:
    """The service's page on which a person pays."""

    id: str
    status: str
    """`open`, `complete` or `expired`."""
    url: str = ""
    intent_id: str = ""
    payment_id: str = ""
    saves_card: bool = False
    account_id: str = ""
    """From the metadata we gave when opening it; empty if the page is not ours."""


@dataclass(frozen=True, slots=True)
class BookedCredit:
    """One movement of credit caused by a payment, as booked."""

    reference: str
    account_id: str
    micros: int
    currency: str
    """Of the account."""
    kind: str
    payment_id: str | None = None
    """None if it was not recorded."""
    at: datetime | None = None
    """When it was booked."""

    @property
    def named_payment_id(self) -> str:
        """Return the payment it says it belongs to; empty if it does not say."""
        prefix, _, rest = self.reference.partition(":")
        return self.payment_id or (rest.partition(":")[0] if prefix == "refund" else "")


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """One movement of an account's credit, to be booked exactly once."""

    reference: str
    micros: int
    kind: str
    """A key of `ledger.CREDIT_SOURCES`."""
    reason: str


def facts_of(intent: Intent, currency: str, kind: str) -> list[PaymentFact]:
    """Return all that an intent proves, oldest first; each has a reference of its own.

    What was undone is returned together with its reversal, so that it does not matter which of them
    was reported. Raises MoneyError if the service's currency is not the account's.
    """
    if intent.status != "succeeded" or not intent.received_minor:
        return []
    _require(intent.currency, currency)
    reason = TOP_UP_REASONS[kind]
    paid = from_minor(intent.received_minor, currency)
    facts = [PaymentFact(top_up_reference(intent.id), paid, "top-up", reason)]
    for refund in intent.refunds:
        _require(refund.currency or intent.currency, currency)
        facts += _facts(refund_amounts(refund), currency, "refund", REFUND_REASONS)
    for dispute in intent.disputes:
        amounts = dispute_amounts(dispute)
        if any(amounts.values()):
            _require(dispute.currency, currency)
        facts += _facts(amounts, currency, "dispute", dispute_reasons(dispute.reason))
    return facts


def top_up_reference(intent_id: str) -> str:
    """Return the reference of the credit paid for by a payment intent."""
    return f"pi:{intent_id}"


def refund_reference(our_id: str) -> str:
    """Return the reference of a refund that we requested."""
    return f"refund:{our_id}"


def undone(reference: str) -> str:
    """Return the reference of the reversal of a refund."""
    return f"{reference}:failed"


def refund_amounts(refund: Refund) -> dict[str, int]:
    """Return a refund's references -> minor units it moves; 0 for what must not be booked."""
    name = refund_reference(refund.our_id) if refund.our_id else f"re:{refund.id}"
    return {name: -refund.minor, undone(name): refund.minor if refund.is_withdrawn else 0}


def dispute_amounts(dispute: Dispute) -> dict[str, int]:
    """Return a dispute's references -> minor units it moves; 0 for what must not be booked."""
    name = f"du:{dispute.id}"
    taken = dispute.minor if dispute.status in _DISPUTED else 0
    return {name: -taken, f"{name}:won": taken if dispute.status == "won" else 0}


def top_up_amounts(intent: Intent) -> dict[str, int]:
    """Return a payment's reference -> minor units it brings; 0 if it is not paid."""
    # An intent may have received part of its amount; only success is money that stays.
    is_paid = intent.status == "succeeded"
    return {top_up_reference(intent.id): intent.received_minor if is_paid else 0}


def amounts_of(intent: Intent) -> dict[str, int]:
    """Return each reference an intent may prove -> minor units; 0 for what it does not prove."""
    amounts = top_up_amounts(intent)
    for refund in intent.refunds:
        amounts |= refund_amounts(refund)
    for dispute in intent.disputes:
        amounts |= dispute_amounts(dispute)
    return amounts


def objects_of(intent: Intent) -> dict[str, tuple[str, str]]:
    """Return the references of refunds and disputes -> their own currency and intent."""
    found: dict[str, tuple[str, str]] = {}
    for refund in intent.refunds:
        # What an object does not say itself is taken from the intent it was found under.
        said = refund.currency or intent.currency, refund.intent_id or intent.id
        found |= dict.fromkeys(refund_amounts(refund), said)
    for dispute in intent.disputes:
        said = dispute.currency, dispute.intent_id or intent.id
        found |= dict.fromkeys(dispute_amounts(dispute), said)
    return found


def _facts(
    amounts: dict[str, int], currency: str, kind: str, reasons: tuple[str, str]
) -> list[PaymentFact]:
    return [
        PaymentFact(reference, from_minor(minor, currency), kind, reason)
        for (reference, minor), reason in zip(amounts.items(), reasons, strict=True)
        if minor
    ]


def _require(currency: str, expected: str) -> None:
    if currency != expected:
        raise MoneyError("an amount in another currency than the account's")


def state_of(page: CheckoutPage | None, intent: Intent | None) -> PaymentState:
    """Return the state that follows from what the service reports."""
    if intent is not None and intent.status == "succeeded":
        return _state_of_paid({dispute.status for dispute in intent.disputes})
    if intent is not None and intent.status == "processing":
        return PaymentState.PROCESSING
    # After a declined card the page still lets the person try another: the page decides, not the
    # attempt.
    if page is not None and page.status != "complete":
        return PaymentState.EXPIRED if page.status == "expired" else PaymentState.OPEN
    if intent is None:
        return PaymentState.CREATED
    return PaymentState.FAILED


def _state_of_paid(disputes: set[str]) -> PaymentState:
    # Of several disputes the worst decides.
    if disputes & _LOST_DISPUTE:
        return PaymentState.LOST
    if disputes & _OPEN_DISPUTE:
        return PaymentState.DISPUTED
    return PaymentState.WON if "won" in disputes else PaymentState.PAID


def refunded_micros(intent: Intent, currency: str) -> int:
    """Return how much of a payment has gone back to the card, or is on its way."""
    minor = sum(refund.minor for refund in intent.refunds if not refund.is_withdrawn)
    return from_minor(minor, currency)


def disputed_micros(intent: Intent, currency: str) -> int:
    """Return how much of a payment disputes have withdrawn and not given back."""
    minor = sum(sum(dispute_amounts(dispute).values()) for dispute in intent.disputes)
    return from_minor(-minor, currency)


@dataclass(frozen=True, slots=True)
class PaymentProfile:
    """What may be charged without asking, and when."""

    account_id: str
    currency: str
    frozen: bool = False
    """The account may not place calls, so it needs no credit."""
    deleted: bool = False
    """Nothing more may be charged, and no card kept."""
    leaving: bool = False
    """Its holder has asked for its deletion."""
    restricted: bool = False
    """Its holder wants their data kept and not used."""
    customer_id: str | None = None
    payment_method_id: str | None = None
    email: str = ""
    """Given by the account holder, otherwise with a payment."""
    auto_enabled: bool = False
    auto_threshold_micros: int = 0
    auto_amount_micros: int = 0
    auto_off_reason: str = ""

    @property
    def has_card(self) -> bool:
        """Whether there is a card to charge."""
        return bool(self.customer_id and self.payment_method_id)


@dataclass(frozen=True, slots=True)
class AutoHistory:
    """An account's charges of its saved card within the last `DAY`, whoever started them."""

    is_in_flight: bool = False
    charged_micros: int = 0
    """Of charges that succeeded, still may, or are only taken to have failed."""
    failures: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AutoLimits:
    """The operator's limits."""

    day_max_micros: int
    pause: timedelta
    """Shortest time between two charges; doubled by each failure."""


class AutoRefusal(Enum):
    """Why no saved card may be charged now."""

    OFF = "off"
    FROZEN = "frozen"
    NO_CARD = "no_card"
    ENOUGH_CREDIT = "enough_credit"
    IN_FLIGHT = "in_flight"
    PAUSED = "paused"
    DAY_CAP = "day_cap"


_DOUBLINGS_MAX = 16
"""Of the pause between charges. More would be longer than the day that `AutoHistory` looks back."""


def auto_amount(
    profile: PaymentProfile,
    history: AutoHistory,
    limits: AutoLimits,
    balance_micros: int,
    now: datetime,
) -> int | AutoRefusal:
    """Return the micros to charge a saved card, or why not to."""
    # A card that was refused must not be tried again at every tick of a call.
    pause = limits.pause * 2 ** min(history.failures, _DOUBLINGS_MAX)
    refusals = {
        AutoRefusal.OFF: not profile.auto_enabled,
        AutoRefusal.FROZEN: profile.frozen,
        AutoRefusal.NO_CARD: not profile.has_card,
        AutoRefusal.ENOUGH_CREDIT: balance_micros >= profile.auto_threshold_micros,
        AutoRefusal.IN_FLIGHT: history.is_in_flight,
        AutoRefusal.PAUSED: history.last_at is not None and now - history.last_at < pause,
        AutoRefusal.DAY_CAP: history.charged_micros + profile.auto_amount_micros
        > limits.day_max_micros,
    }
    return next((why for why, holds in refusals.items() if holds), profile.auto_amount_micros)


def saved_card_amount(
    profile: PaymentProfile, history: AutoHistory, limits: AutoLimits, micros: int
) -> int | AutoRefusal:
    """Return the micros that a person may charge to the saved card, or why not.

    Their own tap needs no pause. The daily limit applies to all charges of the card, because a
    thief with a stolen key can tap as well.
    """
    refusals = {
        AutoRefusal.FROZEN: profile.frozen or profile.deleted,
        AutoRefusal.NO_CARD: not profile.has_card,
        AutoRefusal.IN_FLIGHT: history.is_in_flight,
        AutoRefusal.DAY_CAP: history.charged_micros + micros > limits.day_max_micros,
    }
    return next((why for why, holds in refusals.items() if holds), micros)


Decide = Callable[[PaymentProfile, AutoHistory], int | AutoRefusal]
"""Decides on a charge of the saved card: the micros to charge, or why not to."""


def is_final_decline(code: str, failures: int) -> bool:
    """Return whether a card must not be charged again after a decline, the n-th in a day."""
    return code not in _SOFT_DECLINES or failures >= SOFT_DECLINES_MAX


REPEATED_MAX: Final = timedelta(hours=20)
"""How long a request is sent again: the service knows it again for 24 hours (Stripe, "Idempotent
requests"), and would charge a second time after that."""
SETTLED_AFTER: Final = timedelta(minutes=10)
"""How long after a request was sent its charge may still appear. A request is worked on for about a
minute at most; this is well beyond."""
ABANDONED: Final = "abandoned"
"""The failure of a charge that only we call failed: the payment service has said nothing of it."""

WriteRequest = Callable[[Payment, PaymentProfile], str]
"""Writes the request of a charge, which holds all that it is made of."""


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """The request of a charge that has no outcome yet."""

    body: str
    """Sent unchanged each time."""
    tried_at: datetime | None
    """When it was last sent; None if it never was."""


def may_send(
    payment: Payment, request: ChargeRequest | None, *, is_frozen: bool, now: datetime
) -> bool:
    """Return whether the request may be sent; otherwise the service can only be asked.

    A frozen account is not charged: its holder may have locked it because of this very charge.
    """
    return request is not None and not is_frozen and now - payment.created_at <= REPEATED_MAX


def is_settled(payment: Payment, request: ChargeRequest | None, now: datetime) -> bool:
    """Return whether a charge that the service does not know of will never be made."""
    tried_at = request.tried_at if request is not None else None
    return now - (tried_at or payment.created_at) > SETTLED_AFTER
