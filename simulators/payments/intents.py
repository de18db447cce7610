"""Simulates payment intents and their charges: created, confirmed, authenticated, concluded. Pure.

Knows how a payment method behaves and what each outcome is called; the hosted page and requests
decide when. https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from simulators.payments import cards
from simulators.payments.amounts import check_amount, read_currency
from simulators.payments.cards import Behaviour, Decline
from simulators.payments.clock import NS_PER_S
from simulators.payments.customers import EMAIL_MAX, Customers, merge_metadata
from simulators.payments.errors import CARD_ERROR, ApiError
from simulators.payments.form import Form
from simulators.payments.resources import (
    Charge,
    Customer,
    Json,
    Metadata,
    PaymentIntent,
    PaymentMethod,
    to_json,
)
from simulators.payments.world import World

CONFIRM_FIELDS: Final = frozenset(
    {
        "payment_method",
        "off_session",
        "return_url",
        "error_on_requires_action",
        "setup_future_usage",
        "receipt_email",
        "expand",
    }
)
CREATE_FIELDS: Final = CONFIRM_FIELDS | {
    "amount",
    "currency",
    "customer",
    "metadata",
    "description",
    "confirm",
    "automatic_payment_methods",
    "allowed_payment_method_types",
    "statement_descriptor",
    "statement_descriptor_suffix",
}
CANCEL_REASONS: Final = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
_CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELLABLE: Final = _CONFIRMABLE
_DOC_URL: Final = "https://docs.stripe.com/error-codes"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentOrder:
    """What a payment intent is made from."""

    amount: int
    currency: str
    customer: str | None = None
    description: str | None = None
    metadata: Metadata = field(default_factory=dict)
    setup_future_usage: str | None = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """How a payment is confirmed."""

    method: PaymentMethod
    is_off_session: bool = False
    """Nobody is there to authenticate."""
    return_url: str | None = None
    refuses_action: bool = False
    """Fail at once rather than wait for an authentication."""


class Intents:
    """The payment intents of one account."""

    def __init__(self, world: World, customers: Customers) -> None:
        self._world = world
        self._customers = customers
        self.on_outcome: Callable[[PaymentIntent, int], None] = lambda _intent, _now_ns: None
        """Called when an intent succeeds, begins processing, or fails after that."""

    # --- requests --------------------------------------------------------------------------

    def create(self, form: Form, now_ns: int) -> PaymentIntent:
        """Make a payment intent as a request asks, and confirm it if that is asked for.

        Raises:
            ApiError: a field is malformed, or the payment was declined.
        """
        form.only(CREATE_FIELDS)
        currency = read_currency(form.required("currency"))
        amount = form.integer("amount")
        if amount is None:
            raise ApiError(
                "Missing required param: amount.", code="parameter_missing", param="amount"
            )
        check_amount(amount, currency)
        is_confirmed = form.flag("confirm")
        # Only a confirmation can be without the payer.
        if form.flag("off_session") and not is_confirmed:
            raise ApiError("off_session can only be used when confirm=true.", param="off_session")
        # Before the intent is made, so that an unknown customer leaves none behind.
        if (customer := form.text("customer")) is not None:
            self._world.registry.find(Customer, customer, "customer")
        intent = self.open(
            IntentOrder(
                amount=amount,
                currency=currency,
                customer=customer,
                description=form.text("description"),
                metadata=form.metadata(),
                statement_descriptor=form.text("statement_descriptor", 22),
                statement_descriptor_suffix=form.text("statement_descriptor_suffix", 22),
            ),
            now_ns,
        )
        if is_confirmed:
            return self.confirm(intent.id, form, now_ns)
        self._read_common(intent, form)
        if (reference := form.text("payment_method")) is not None:
            method = self._usable(intent, reference, now_ns)
            intent.payment_method, intent.status = method.id, "requires_confirmation"
        return intent

    def confirm(self, intent_id: str, form: Form, now_ns: int) -> PaymentIntent:
        """Pay as a request asks.

        Raises:
            ApiError: a field is malformed, there is nothing to confirm, or it was declined.
        """
        intent = self._find(intent_id)
        self._read_common(intent, form)
        # A method chosen at creation is used unless this request names another.
        reference = form.text("payment_method") or intent.payment_method
        # A paid intent is refused here: confirming twice charges once.
        if intent.status not in _CONFIRMABLE:
            raise _unexpected("confirm", intent)
        if reference is None:
            raise ApiError(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                code="payment_intent_unexpected_state",
                payment_intent=to_json(intent),
            )
        confirmation = Confirmation(
            method=self._usable(intent, reference, now_ns),
            is_off_session=form.flag("off_session"),
            return_url=form.text("return_url"),
            refuses_action=form.flag("error_on_requires_action"),
        )
        self.pay(intent, confirmation, now_ns)
        return intent

    def cancel(self, intent_id: str, form: Form, now_ns: int) -> PaymentIntent:
        """Give up a payment as a request asks.

        Raises:
            ApiError: there is none, or it cannot be given up any more.
        """
        form.only({"cancellation_reason", "expand"})
        intent = self._find(intent_id)
        reason = form.choice("cancellation_reason", CANCEL_REASONS)
        if intent.status not in _CANCELLABLE:
            raise _unexpected("cancel", intent)
        self.give_up(intent, reason, now_ns)
        return intent

    # --- what happens ----------------------------------------------------------------------

    def open(self, order: IntentOrder, now_ns: int) -> PaymentIntent:
        """Make a payment intent."""
        intent_id = self._world.registry.new_id(PaymentIntent.PREFIX)
        secret = self._world.registry.new_id(f"{intent_id}_secret")
        intent = self._world.registry.add(
            PaymentIntent(
                id=intent_id,
                created=now_ns // NS_PER_S,
                client_secret=secret,
                amount=order.amount,
                currency=order.currency,
                customer=order.customer,
                description=order.description,
                metadata=dict(order.metadata),
                setup_future_usage=order.setup_future_usage,
                receipt_email=order.receipt_email,
                statement_descriptor=order.statement_descriptor,
                statement_descriptor_suffix=order.statement_descriptor_suffix,
            )
        )
        self._world.emit("payment_intent.created", intent, now_ns)
        return intent

    def pay(self, intent: PaymentIntent, confirmation: Confirmation, now_ns: int) -> None:
        """Charge a payment method, or ask its owner to authenticate.

        Raises:
            ApiError: it was declined.
        """
        method = confirmation.method
        # Read at each payment: the control API may have changed what a saved card does.
        behaviour = self._world.method_states[method.id].behaviour
        intent.payment_method, intent.next_action = method.id, None
        if behaviour.authenticates:
            # Nobody can be asked: the bank's wish to ask becomes a decline.
            if confirmation.is_off_session or confirmation.refuses_action:
                raise self._decline(intent, method, cards.AUTHENTICATION_REQUIRED, now_ns)
            # No charge yet: it is made when the payer comes back from the bank.
            intent.status = "requires_action"
            url = f"{self._world.origin}/authenticate/{intent.id}"
            target: Json = {"url": url, "return_url": confirmation.return_url}
            intent.next_action = {"type": "redirect_to_url", "redirect_to_url": target}
            self._world.emit("payment_intent.requires_action", intent, now_ns)
            return
        self._charge(intent, method, behaviour, now_ns)

    def authenticate(self, intent_id: str, now_ns: int, *, is_proven: bool) -> PaymentIntent:
        """Record whether the payer authenticated with the bank, and charge if so.

        Raises:
            ApiError: nobody asked, or the authentication failed.
        """
        intent = self._find(intent_id)
        if intent.status != "requires_action" or intent.payment_method is None:
            raise _unexpected("authenticate", intent)
        method = self._world.registry.find(PaymentMethod, intent.payment_method)
        # Answered once, either way: the bank's page cannot be used a second time.
        intent.next_action = None
        if not is_proven:
            raise self._decline(intent, method, cards.AUTHENTICATION_FAILED, now_ns)
        behaviour = self._world.method_states[method.id].behaviour
        self._charge(intent, method, behaviour, now_ns, is_authenticated=True)
        return intent

    def conclude(self, intent_id: str, now_ns: int, *, is_paid: bool) -> PaymentIntent:
        """Give the bank's answer to a payment that is processing.

        Raises:
            ApiError: there is none that waits for its bank.
        """
        intent = self._find(intent_id)
        if intent.status != "processing" or intent.latest_charge is None:
            raise _unexpected("conclude", intent)
        # The control API may answer for the bank before its time.
        self._world.schedule.drop(intent.id)
        charge = self._world.registry.find(Charge, intent.latest_charge)
        method = self._world.registry.find(PaymentMethod, charge.payment_method)
        if is_paid:
            self._succeed(intent, charge, method, now_ns)
        else:
            self._decline(intent, method, cards.BANK_REFUSED, now_ns, charge)
            # Only here: a decline at once leaves the session open for another attempt.
            self.on_outcome(intent, now_ns)
        return intent

    def give_up(self, intent: PaymentIntent, reason: str | None, now_ns: int) -> None:
        """Cancel a payment that is not paid and not on its way."""
        intent.status, intent.next_action = "canceled", None
        intent.canceled_at, intent.cancellation_reason = now_ns // NS_PER_S, reason
        self._world.emit("payment_intent.canceled", intent, now_ns)

    # --- charges ---------------------------------------------------------------------------

    def _charge(
        self,
        intent: PaymentIntent,
        method: PaymentMethod,
        behaviour: Behaviour,
        now_ns: int,
        *,
        is_authenticated: bool = False,
    ) -> None:
        if behaviour.decline is not None:
            raise self._decline(intent, method, behaviour.decline, now_ns)
        # A declined method stays usable: it counts as used once it was charged.
        self._world.method_states[method.id].is_used = True
        charge = self._open_charge(intent, method, now_ns, is_authenticated=is_authenticated)
        if not behaviour.delayed:
            self._succeed(intent, charge, method, now_ns)
            return
        # Money by bank debit is not there yet: a client that credits it now gives it away.
        intent.status = "processing"
        self._world.emit("payment_intent.processing", intent, now_ns)
        self._world.emit("charge.pending", charge, now_ns)
        self.on_outcome(intent, now_ns)

        def conclude(at_ns: int) -> None:
            self.conclude(intent.id, at_ns, is_paid=not behaviour.fails_later)

        self._world.later(intent.id, self._world.settings.bank_delay_s, now_ns, conclude)

    def _open_charge(
        self, intent: PaymentIntent, method: PaymentMethod, now_ns: int, *, is_authenticated: bool
    ) -> Charge:
        described = method.card if method.type == "card" else method.sepa_debit
        assert isinstance(described, dict), "described by its type"
        charge = self._world.registry.add(
            Charge(
                id=self._world.registry.new_id(
                    Charge.PREFIX if method.type == "card" else "py"  # a payment that is no charge
                ),
                created=now_ns // NS_PER_S,
                status="pending",
                amount=intent.amount,
                currency=intent.currency,
                customer=intent.customer,
                payment_intent=intent.id,
                payment_method=method.id,
                payment_method_details=cards.describe_payment(
                    method.type, described, authenticated=is_authenticated
                ),
                # A copy, as with Stripe: later changes of the intent's metadata do not reach the
                # charge.
                metadata=dict(intent.metadata),
                billing_details=dict(method.billing_details),
                receipt_email=intent.receipt_email,
                description=intent.description,
                statement_descriptor=intent.statement_descriptor,
                statement_descriptor_suffix=intent.statement_descriptor_suffix,
            )
        )
        intent.latest_charge = charge.id
        return charge

    def _succeed(
        self, intent: PaymentIntent, charge: Charge, method: PaymentMethod, now_ns: int
    ) -> None:
        charge.status, charge.paid, charge.captured = "succeeded", True, True
        charge.amount_captured = charge.amount
        charge.outcome = _outcome("authorized", "approved_by_network", "Payment complete.")
        intent.status, intent.amount_received = "succeeded", charge.amount
        # An earlier attempt of this intent may have been declined.
        intent.last_payment_error = None
        # A card is saved only when a payment with it succeeds, and only for a customer.
        if intent.setup_future_usage and intent.customer:
            self._customers.attach(method, intent.customer, now_ns)
        # Stripe promises no order of these events; a receiver must cope with any.
        self._world.emit("charge.succeeded", charge, now_ns)
        self._world.emit("payment_intent.succeeded", intent, now_ns)
        self.on_outcome(intent, now_ns)
        # The type of the movement differs by method, its reporting category does not.
        kind = "charge" if method.type == "card" else "payment"
        movement = self._world.book(
            kind, charge.amount, charge.currency, charge.id, now_ns, category="charge"
        )

        def post(at_ns: int) -> None:
            before = to_json(charge)
            charge.balance_transaction = movement.id
            charge.receipt_url = f"{self._world.origin}/receipts/{charge.id}"
            self._world.emit("charge.updated", charge, at_ns, before)

        # With asynchronous capture the movement is known only a moment after the payment.
        self._world.later(charge.id, 0, now_ns, post)

    def _decline(
        self,
        intent: PaymentIntent,
        method: PaymentMethod,
        decline: Decline,
        now_ns: int,
        charge: Charge | None = None,
    ) -> ApiError:
        """Note a failed attempt, and return what a request that made it is answered with."""
        # A failed authentication never reaches the bank, so that there is no charge to show for it.
        is_attempted = decline is not cards.AUTHENTICATION_FAILED
        if is_attempted:
            # A debit that fails later has its charge already; a decline at once makes a failed one.
            charge = charge or self._open_charge(intent, method, now_ns, is_authenticated=False)
            charge.status = "failed"
            charge.failure_code, charge.failure_message = decline.code, decline.message
            charge.outcome = _outcome(
                "issuer_declined",
                "declined_by_network",
                "The bank did not return any further details with this decline.",
                decline,
            )
        problem: Json = {
            "code": decline.code,
            "doc_url": f"{_DOC_URL}#{decline.code.replace('_', '-')}",
            "message": decline.message,
            "payment_method": to_json(method),
            "type": CARD_ERROR if is_attempted else "invalid_request_error",
        }
        if charge is not None:
            problem["charge"] = charge.id
        if decline.decline_code:
            problem["decline_code"] = decline.decline_code
        if decline.advice_code:
            problem["advice_code"] = decline.advice_code
        # Back to the beginning: the same intent can be paid with something else.
        intent.status, intent.payment_method = "requires_payment_method", None
        intent.last_payment_error = problem
        if charge is not None:
            self._world.emit("charge.failed", charge, now_ns)
        self._world.emit("payment_intent.payment_failed", intent, now_ns)
        # The envelope has type and message of its own.
        details = {name: problem[name] for name in problem.keys() - {"type", "message"}}
        return ApiError(
            decline.message,
            status=402 if is_attempted else 400,
            type=str(problem["type"]),
            **details,
            payment_intent=to_json(intent),
        )

    # --- small parts -----------------------------------------------------------------------

    def _find(self, intent_id: str) -> PaymentIntent:
        return self._world.registry.find(PaymentIntent, intent_id, "intent")

    def _usable(self, intent: PaymentIntent, reference: str, now_ns: int) -> PaymentMethod:
        method = self._customers.find_method(reference, now_ns)
        # A saved card is charged for its own customer only.
        if method.customer is not None and method.customer != intent.customer:
            raise ApiError(
                "The provided PaymentMethod belongs to a Customer that the PaymentIntent does not"
                " name.",
                code="payment_method_customer_mismatch",
                param="payment_method",
            )
        if method.customer is None and self._world.method_states[method.id].is_used:
            raise ApiError(
                "The provided PaymentMethod was previously used with a PaymentIntent without"
                " Customer attachment, or was detached from a Customer. It may not be used again.",
                param="payment_method",
            )
        return method

    def _read_common(self, intent: PaymentIntent, form: Form) -> None:
        form.only(CREATE_FIELDS)
        if "setup_future_usage" in form:
            intent.setup_future_usage = form.choice(
                "setup_future_usage", ("off_session", "on_session")
            )
        if "receipt_email" in form:
            intent.receipt_email = form.text("receipt_email", EMAIL_MAX)
        methods = form.below("automatic_payment_methods")
        if methods.flag("enabled"):
            allowed = methods.choice("allow_redirects", ("always", "never")) or "always"
            intent.automatic_payment_methods = {"allow_redirects": allowed, "enabled": True}
        if types := form.texts("allowed_payment_method_types"):
            intent.allowed_payment_method_types = intent.payment_method_types = list(types)

    def update(self, intent_id: str, form: Form, now_ns: int) -> PaymentIntent:  # noqa: ARG002 - handler shape
        """Change what a payment intent says, not what it costs.

        Raises:
            ApiError: there is none, or a field is malformed.
        """
        form.only({"metadata", "description", "receipt_email", "expand"})
        intent = self._find(intent_id)
        if "description" in form:
            intent.description = form.text("description")
        if "receipt_email" in form:
            intent.receipt_email = form.text("receipt_email", EMAIL_MAX)
        merge_metadata(intent.metadata, form)
        return intent


def _unexpected(verb: str, intent: PaymentIntent) -> ApiError:
    return ApiError(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent.status}.",
        code="payment_intent_unexpected_state",
        payment_intent=to_json(intent),
    )


def _outcome(kind: str, status: str, message: str, decline: Decline | None = None) -> Json:
    return {
        "advice_code": decline.advice_code if decline else None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": status,
        "reason": (decline.decline_code or decline.code) if decline else None,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": message,
        "type": kind,
    }
