"""Builds the simulated objects of Stripe's API, field by field. Pure: no rule lives here.

A field that Stripe always sends is always there, null if it is empty. Fields that Stripe omits
unless requested (`client_secret` of a hosted session, `refunds` of a charge) are absent. Amounts
are whole numbers of the currency's smallest unit, times are seconds since the epoch.

https://docs.stripe.com/api
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from msgspec import field

API_VERSION: Final = "2026-10-28.endive"
Json = dict[str, object]
Metadata = dict[str, str]


def _empty_billing() -> Json:
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def _evidence() -> Json:
    return {**dict.fromkeys(EVIDENCE_TEXTS), "enhanced_evidence": {}}


EVIDENCE_TEXTS: Final = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
"""What a dispute's evidence can say; those that are files are taken as their identifiers."""


# Every kind repeats its name in `object`, for msgspec encodes fields and no class variables.
class Resource(msgspec.Struct, kw_only=True):
    """One object of the API; everything but the events can still change."""

    KIND: ClassVar[str]
    """Stripe's name of the kind, as `object` repeats it."""
    PREFIX: ClassVar[str]
    """What identifiers of the kind begin with."""

    id: str
    created: int

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it by itself: it may be forgotten first."""
        return True


class CheckoutSession(Resource, kw_only=True):
    """One visit to the hosted page."""

    KIND: ClassVar[str] = "checkout.session"
    PREFIX: ClassVar[str] = "cs_test"

    object: str = "checkout.session"
    livemode: bool = False
    mode: str = "payment"
    status: str = "open"
    """`open`, `complete` or `expired`."""
    payment_status: str = "unpaid"
    """`unpaid` or `paid`: a complete session whose bank still thinks is unpaid."""
    amount_subtotal: int
    amount_total: int
    currency: str
    expires_at: int
    url: str | None
    success_url: str
    cancel_url: str | None = None
    client_reference_id: str | None = None
    customer: str | None = None
    customer_creation: str | None = None
    customer_details: Json | None = None
    customer_email: str | None = None
    metadata: Metadata = field(default_factory=dict)
    payment_intent: str | None = None
    allowed_payment_method_types: list[str] | None = None
    # One kind is paid at once, the other only later.
    payment_method_types: list[str] = field(default_factory=lambda: ["card", "sepa_debit"])
    payment_method_options: Json = field(
        default_factory=lambda: {"card": {"request_three_d_secure": "automatic"}}
    )
    adaptive_pricing: Json = field(default_factory=lambda: {"enabled": False})
    after_expiration: None = None
    allow_promotion_codes: None = None
    automatic_tax: Json = field(
        default_factory=lambda: {
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        }
    )
    billing_address_collection: str | None = None
    client_secret: None = None
    collected_information: None = None
    consent: None = None
    consent_collection: None = None
    currency_conversion: None = None
    custom_fields: list[Json] = field(default_factory=list)
    custom_text: Json = field(
        default_factory=lambda: dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        )
    )
    discounts: list[Json] = field(default_factory=list)
    invoice: None = None
    invoice_creation: Json = field(
        default_factory=lambda: {
            "enabled": False,
            "invoice_data": {
                "account_tax_ids": None,
                "custom_fields": None,
                "description": None,
                "footer": None,
                "issuer": None,
                "metadata": {},
                "rendering_options": None,
            },
        }
    )
    locale: str | None = None
    origin_context: None = None
    payment_link: None = None
    payment_method_collection: str = "if_required"
    payment_method_configuration_details: None = None
    permissions: None = None
    phone_number_collection: Json = field(default_factory=lambda: {"enabled": False})
    recovered_from: None = None
    saved_payment_method_options: Json | None = None
    setup_intent: None = None
    shipping_address_collection: None = None
    shipping_cost: None = None
    shipping_options: list[Json] = field(default_factory=list)
    submit_type: str | None = None
    subscription: None = None
    total_details: Json = field(
        default_factory=lambda: {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
    )
    ui_mode: str = "hosted_page"
    wallet_options: None = None

    @property
    def is_finished(self) -> bool:
        """Whether it is paid for or can no longer be."""
        return self.status == "expired" or self.payment_status == "paid"


class PaymentIntent(Resource, kw_only=True):
    """An amount to be paid, in one attempt or several."""

    KIND: ClassVar[str] = "payment_intent"
    PREFIX: ClassVar[str] = "pi"

    object: str = "payment_intent"
    livemode: bool = False
    status: str = "requires_payment_method"
    amount: int
    amount_received: int = 0
    amount_capturable: int = 0
    amount_details: Json = field(default_factory=lambda: {"tip": {}})
    currency: str
    client_secret: str
    customer: str | None = None
    payment_method: str | None = None
    latest_charge: str | None = None
    last_payment_error: Json | None = None
    next_action: Json | None = None
    metadata: Metadata = field(default_factory=dict)
    setup_future_usage: str | None = None
    receipt_email: str | None = None
    description: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    application: None = None
    application_fee_amount: None = None
    automatic_payment_methods: Json | None = None
    capture_method: str = "automatic_async"
    confirmation_method: str = "automatic"
    on_behalf_of: None = None
    payment_method_configuration_details: None = None
    payment_method_options: Json = field(default_factory=dict)
    allowed_payment_method_types: list[str] | None = None
    payment_method_types: list[str] = field(default_factory=lambda: ["card", "sepa_debit"])
    processing: None = None
    review: None = None
    shipping: None = None
    source: None = None
    transfer_data: None = None
    transfer_group: None = None

    @property
    def is_finished(self) -> bool:
        """Whether it was paid or given up."""
        return self.status in {"succeeded", "canceled"}


class Charge(Resource, kw_only=True):
    """One attempt to collect the sum of a payment intent."""

    KIND: ClassVar[str] = "charge"
    PREFIX: ClassVar[str] = "ch"

    object: str = "charge"
    livemode: bool = False
    status: str
    """`pending`, `succeeded` or `failed`."""
    amount: int
    amount_captured: int = 0
    amount_refunded: int = 0
    currency: str
    customer: str | None = None
    payment_intent: str
    payment_method: str
    payment_method_details: Json
    paid: bool = False
    captured: bool = False
    refunded: bool = False
    disputed: bool = False
    metadata: Metadata = field(default_factory=dict)
    balance_transaction: str | None = None
    billing_details: Json = field(default_factory=_empty_billing)
    failure_code: str | None = None
    failure_message: str | None = None
    failure_balance_transaction: None = None
    outcome: Json | None = None
    receipt_email: str | None = None
    receipt_number: None = None
    receipt_url: str | None = None
    description: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    calculated_statement_descriptor: str | None = "SIMULATED"
    application: None = None
    application_fee: None = None
    application_fee_amount: None = None
    fraud_details: Json = field(default_factory=dict)
    on_behalf_of: None = None
    radar_options: Json = field(default_factory=dict)
    review: None = None
    shipping: None = None
    source: None = None
    source_transfer: None = None
    transfer_data: None = None
    transfer_group: None = None

    @property
    def is_finished(self) -> bool:
        """Whether its outcome is known."""
        return self.status != "pending"


class Refund(Resource, kw_only=True):
    """Money on its way back."""

    KIND: ClassVar[str] = "refund"
    PREFIX: ClassVar[str] = "re"

    object: str = "refund"
    status: str
    """`pending`, `succeeded`, `failed` or `canceled`."""
    amount: int
    currency: str
    charge: str
    payment_intent: str
    reason: str | None = None
    metadata: Metadata = field(default_factory=dict)
    balance_transaction: str | None = None
    destination_details: Json | None = None
    # Unset, not null: Stripe leaves these two out until a refund has failed.
    failure_balance_transaction: str | msgspec.UnsetType | None = msgspec.UNSET
    failure_reason: str | msgspec.UnsetType = msgspec.UNSET
    receipt_number: None = None
    source_transfer_reversal: None = None
    transfer_reversal: None = None

    @property
    def is_finished(self) -> bool:
        """Whether the bank has answered."""
        return self.status != "pending"


class Dispute(Resource, kw_only=True):
    """A card holder's complaint to the bank, which takes the money until it has decided."""

    KIND: ClassVar[str] = "dispute"
    PREFIX: ClassVar[str] = "du"

    object: str = "dispute"
    livemode: bool = False
    status: str
    amount: int
    currency: str
    charge: str
    payment_intent: str
    reason: str
    evidence_details: Json
    evidence: Json = field(default_factory=_evidence)
    metadata: Metadata = field(default_factory=dict)
    balance_transactions: list[BalanceTransaction] = field(default_factory=list)
    enhanced_eligibility_types: list[str] = field(default_factory=list)
    is_charge_refundable: bool
    payment_method_details: Json | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_finished(self) -> bool:
        """Whether it was decided."""
        return self.status in {"won", "lost", "warning_closed"}


class Customer(Resource, kw_only=True):
    """A payer, for whom cards can be kept."""

    KIND: ClassVar[str] = "customer"
    PREFIX: ClassVar[str] = "cus"

    object: str = "customer"
    livemode: bool = False
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    description: str | None = None
    metadata: Metadata = field(default_factory=dict)
    address: None = None
    balance: int = 0
    currency: None = None
    default_source: None = None
    delinquent: bool = False
    discount: None = None
    invoice_prefix: str
    invoice_settings: Json = field(
        default_factory=lambda: dict.fromkeys(
            ("custom_fields", "default_payment_method", "footer", "rendering_options")
        )
    )
    next_invoice_sequence: int = 1
    preferred_locales: list[str] = field(default_factory=list)
    shipping: None = None
    tax_exempt: str = "none"
    test_clock: None = None


class PaymentMethod(Resource, kw_only=True):
    """A card or a bank account; of its number only the last four digits are known."""

    KIND: ClassVar[str] = "payment_method"
    PREFIX: ClassVar[str] = "pm"

    object: str = "payment_method"
    livemode: bool = False
    type: str
    """`card` or `sepa_debit`; the field of this name says more."""
    card: Json | msgspec.UnsetType = msgspec.UNSET
    sepa_debit: Json | msgspec.UnsetType = msgspec.UNSET
    customer: str | None = None
    allow_redisplay: str = "unspecified"
    billing_details: Json = field(default_factory=_empty_billing)
    metadata: Metadata = field(default_factory=dict)


class BalanceTransaction(Resource, kw_only=True):
    """One movement of the balance; there are no fees in this world."""

    KIND: ClassVar[str] = "balance_transaction"
    PREFIX: ClassVar[str] = "txn"

    object: str = "balance_transaction"
    type: str
    """`charge`, `payment`, `refund`, `payment_refund`, `refund_failure` or `adjustment`."""
    amount: int
    net: int
    currency: str
    source: str
    reporting_category: str
    available_on: int
    balance_type: str = "payments"
    description: str | None = None
    exchange_rate: None = None
    fee: int = 0
    fee_details: list[Json] = field(default_factory=list)
    status: str = "available"


class Cause(msgspec.Struct, frozen=True):
    """What made an event happen: an API request, or nothing that has an identifier."""

    id: str | None = None
    idempotency_key: str | None = None


class EventData(msgspec.Struct, kw_only=True):
    """The object as it was then, and what the event changed about it."""

    object: Json
    previous_attributes: Json | msgspec.UnsetType = msgspec.UNSET


class Event(Resource, kw_only=True):
    """One past fact, with a snapshot of its object."""

    KIND: ClassVar[str] = "event"
    PREFIX: ClassVar[str] = "evt"

    object: str = "event"
    livemode: bool = False
    api_version: str = API_VERSION
    type: str
    data: EventData
    request: Cause
    pending_webhooks: int

    @property
    def is_finished(self) -> bool:
        """Whether it has been delivered."""
        return self.pending_webhooks == 0


def to_json(resource: Resource) -> Json:
    """Return a snapshot that later changes of the object do not touch."""
    # Nested structures become new dictionaries, so that nothing is shared with the object.
    snapshot: Json = msgspec.to_builtins(resource)
    return snapshot
