"""Simulates Checkout Sessions in payment mode: created by a request, paid on the page. Pure.

Knows what a session asks for and what paying it leads to; `intents` makes the charges.
https://docs.stripe.com/payments/checkout/how-checkout-works
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulators.payments.amounts import check_amount, read_currency
from simulators.payments.cards import BY_BUTTON
from simulators.payments.clock import NS_PER_S
from simulators.payments.customers import EMAIL_MAX, Customers
from simulators.payments.errors import ApiError
from simulators.payments.form import Form
from simulators.payments.intents import Confirmation, IntentOrder, Intents
from simulators.payments.resources import (
    CheckoutSession,
    Customer,
    Json,
    PaymentIntent,
)
from simulators.payments.world import World

LIFE_MIN_S: Final = 30 * 60
LIFE_MAX_S: Final = 24 * 3600
# Clients compute an expiry from a clock of their own: a moment too early is not refused.
LIFE_SLACK_S: Final = 60
LINE_ITEMS_MAX: Final = 100
URL_MAX: Final = 5000
SESSION_ID: Final = "{CHECKOUT_SESSION_ID}"
STATUSES: Final = ("open", "complete", "expired")
FIELDS: Final = frozenset(
    {
        "mode",
        "ui_mode",
        "line_items",
        "success_url",
        "cancel_url",
        "client_reference_id",
        "metadata",
        "payment_intent_data",
        "customer",
        "customer_creation",
        "customer_email",
        "expires_at",
        "allowed_payment_method_types",
        "locale",
        "submit_type",
        "expand",
        "billing_address_collection",
        "saved_payment_method_options",
        "automatic_tax",
    }
)
INTENT_FIELDS: Final = frozenset(
    {
        "metadata",
        "setup_future_usage",
        "receipt_email",
        "description",
        "statement_descriptor",
        "statement_descriptor_suffix",
    }
)
LINE_FIELDS: Final = frozenset({"price_data", "quantity"})
PRICE_FIELDS: Final = frozenset({"currency", "unit_amount", "product_data", "tax_behavior"})
PRODUCT_FIELDS: Final = frozenset({"name", "description", "images", "metadata", "tax_code"})


@dataclass(frozen=True, slots=True)
class Basket:
    """What is bought."""

    name: str
    """Of the first line, and how many more there are."""
    amount: int
    currency: str


class Checkout:
    """The sessions of one account."""

    def __init__(self, world: World, customers: Customers, intents: Intents) -> None:
        self._world = world
        self._customers = customers
        self._intents = intents
        self._orders: dict[str, tuple[Basket, IntentOrder]] = {}
        self._by_intent: dict[str, str] = {}
        # Both tables are keyed by objects that the registry drops at its bounds.
        world.on_forget.append(self._forget)
        # Set from here, so that intents know nothing of sessions.
        intents.on_outcome = self._on_outcome

    # --- requests --------------------------------------------------------------------------

    def create(self, form: Form, now_ns: int) -> CheckoutSession:
        """Make a session as a request asks.

        Raises:
            ApiError: a field is missing, malformed or not simulated.
        """
        form.only(FIELDS)
        _check_modes(form)
        basket = _read_basket(form)
        # As long as Stripe's.
        session_id = self._world.registry.new_id(CheckoutSession.PREFIX, 58)
        success_url, cancel_url = _read_url(form, "success_url"), _read_url(form, "cancel_url")
        # Raises: the field is missing.
        if success_url is None:
            form.required("success_url")
        session = CheckoutSession(
            id=session_id,
            created=now_ns // NS_PER_S,
            amount_subtotal=basket.amount,
            amount_total=basket.amount,
            currency=basket.currency,
            expires_at=_read_expiry(form, now_ns // NS_PER_S),
            url=f"{self._world.origin}/pay/{session_id}",
            success_url=success_url or "",
            cancel_url=cancel_url,
            client_reference_id=form.text("client_reference_id", 200),
            metadata=form.metadata(),
            locale=form.text("locale"),
            submit_type=form.choice("submit_type", ("auto", "book", "donate", "pay")),
            billing_address_collection=form.choice(
                "billing_address_collection", ("auto", "required")
            ),
        )
        if types := form.texts("allowed_payment_method_types"):
            session.allowed_payment_method_types = session.payment_method_types = list(types)
        self._read_payer(session, form)
        order = _read_order(form, basket, session)
        self._world.registry.add(session)
        # Kept beside the session: Stripe does not show them unless the line items are asked for.
        self._orders[session.id] = (basket, order)
        self._world.later(
            session.id,
            session.expires_at - now_ns / NS_PER_S,
            now_ns,
            lambda at_ns: self._expire_unpaid(session.id, at_ns),
        )
        return session

    def expire(self, session_id: str, now_ns: int) -> CheckoutSession:
        """End a session that nobody has paid.

        Raises:
            ApiError: there is none, or it is no longer open.
        """
        session = self.find(session_id)
        if session.status != "open":
            raise ApiError(
                'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout'
                f" Session has a status of {session.status}.",
            )
        # It may be the appointment that runs now, or one that a request is ahead of.
        self._world.schedule.drop(session.id)
        session.status, session.url = "expired", None
        # An attempt was made and failed, or waits for an authentication, which is void now.
        if session.payment_intent is not None:
            intent = self._world.registry.find(PaymentIntent, session.payment_intent)
            self._intents.give_up(intent, "expired", now_ns)
        self._world.emit("checkout.session.expired", session, now_ns)
        return session

    def _expire_unpaid(self, session_id: str, now_ns: int) -> None:
        self.expire(session_id, now_ns)

    def find(self, session_id: str) -> CheckoutSession:
        """Return a session.

        Raises:
            ApiError: there is none.
        """
        return self._world.registry.find(CheckoutSession, session_id, "session")

    # --- the hosted page -------------------------------------------------------------------

    def basket(self, session_id: str) -> Basket:
        """Return what is bought."""
        return self._orders[session_id][0]

    def session_of(self, intent_id: str) -> CheckoutSession | None:
        """Return the session that an intent pays, or None."""
        session = self._world.registry.look_up(self._by_intent.get(intent_id, ""))
        return session if isinstance(session, CheckoutSession) else None

    def pay(self, session_id: str, button: str, email: str | None, now_ns: int) -> CheckoutSession:
        """Pay with what a button stands for; the intent tells whether the payer must authenticate.

        Raises:
            ApiError: the session is not open, there is no such button, or it was declined.
        """
        session = self.find(session_id)
        instrument = BY_BUTTON.get(button)
        # Looked at before the button: a session is paid once, whatever is pressed.
        if session.status != "open":
            raise ApiError(f"This session is {session.status}.", code="session_not_open")
        if instrument is None or ("card" if instrument.brand else "sepa_debit") not in (
            session.payment_method_types
        ):
            raise ApiError("This session cannot be paid so.", param="method")
        if email is not None and ("@" not in email or len(email) > EMAIL_MAX):
            raise ApiError("The e-mail address is not one.", param="email")
        # An address that the merchant gave cannot be changed on the page.
        email = session.customer_email or email or payer_email(session)
        session.customer_details = _describe_payer(email)
        intent = self._intent(session, email, now_ns)
        method = self._customers.new_method(instrument, now_ns, email)
        confirmation = Confirmation(method=method, return_url=return_url(session))
        self._intents.pay(intent, confirmation, now_ns)
        return session

    def _intent(self, session: CheckoutSession, email: str | None, now_ns: int) -> PaymentIntent:
        """Return the session's payment intent; it begins with the first attempt to pay."""
        if session.payment_intent is not None:
            return self._world.registry.find(PaymentIntent, session.payment_intent)
        if session.customer is None and session.customer_creation == "always":
            # With the first attempt to pay: a page that is left makes no customer.
            customer = self._customers.open(now_ns, email)
            session.customer = customer.id
            self._world.emit("customer.created", customer, now_ns)
        order = self._orders[session.id][1]
        intent = self._intents.open(order, now_ns)
        intent.customer = session.customer
        intent.payment_method_types = list(session.payment_method_types)
        session.payment_intent = intent.id
        # Before the first outcome, which may come within this very call.
        self._by_intent[intent.id] = session.id
        return intent

    def _on_outcome(self, intent: PaymentIntent, now_ns: int) -> None:
        session = self.session_of(intent.id)
        if session is None:
            return
        # The first outcome completes the session, even unpaid; the bank's later answer is the
        # second.
        was_open = session.status == "open"
        session.status, session.url = "complete", None
        # A completed session does not expire.
        self._world.schedule.drop(session.id)
        if intent.status == "succeeded":
            session.payment_status = "paid"
        if was_open:
            self._world.emit("checkout.session.completed", session, now_ns)
            return
        verdict = "succeeded" if intent.status == "succeeded" else "failed"
        self._world.emit(f"checkout.session.async_payment_{verdict}", session, now_ns)

    # --- small parts -----------------------------------------------------------------------

    def _forget(self, object_id: str) -> None:
        self._orders.pop(object_id, None)
        self._by_intent.pop(object_id, None)

    def _read_payer(self, session: CheckoutSession, form: Form) -> None:
        customer = form.text("customer")
        email = form.text("customer_email", EMAIL_MAX)
        creation = form.choice("customer_creation", ("always", "if_required"))
        # A customer brings an address of its own.
        if customer is not None and (email is not None or creation is not None):
            other = "customer_email" if email is not None else "customer_creation"
            raise ApiError(
                f"You may only specify one of these parameters: customer, {other}.", param=other
            )
        session.customer_email = email
        if customer is None:
            session.customer_creation = creation or "if_required"
            return
        known = self._world.registry.find(Customer, customer, "customer")
        session.customer = known.id
        session.customer_details = _describe_payer(known.email)


def payer_email(session: CheckoutSession) -> str | None:
    """Return the payer's e-mail address, as far as it is known."""
    email = (session.customer_details or {}).get("email")
    return session.customer_email or (email if isinstance(email, str) else None)


def return_url(session: CheckoutSession) -> str:
    """Return where the payer goes after paying."""
    # Stripe's placeholder, with which a return page finds the session.
    return session.success_url.replace(SESSION_ID, session.id)


def _check_modes(form: Form) -> None:
    if form.required("mode") != "payment":
        raise ApiError("Only sessions in payment mode are simulated.", param="mode")
    if form.text("ui_mode") not in (None, "hosted", "hosted_page"):
        raise ApiError("Only the hosted page is simulated.", param="ui_mode")
    if form.below("automatic_tax").flag("enabled"):
        raise ApiError("Taxes are not simulated.", param="automatic_tax[enabled]")


def _read_basket(form: Form) -> Basket:
    lines: list[Basket] = []
    for line in form.items("line_items"):
        line.only(LINE_FIELDS)
        price = line.below("price_data")
        price.only(PRICE_FIELDS)
        product = price.below("product_data")
        product.only(PRODUCT_FIELDS)
        currency = read_currency(price.required("currency"), price.param("currency"))
        # Refuses an absent field, which the `or` below would take for an amount of zero.
        price.required("unit_amount")
        unit_amount, quantity = price.integer("unit_amount") or 0, line.integer("quantity")
        if unit_amount < 0 or (quantity is not None and not 0 < quantity <= 999_999):
            raise ApiError("Invalid line item: out of bounds", param=line.param("quantity"))
        lines.append(Basket(product.required("name", 250), unit_amount * (quantity or 1), currency))
    if not 0 < len(lines) <= LINE_ITEMS_MAX:
        raise ApiError(
            "Missing required param: line_items.", code="parameter_missing", param="line_items"
        )
    # One session is one payment, which has one currency.
    if len({line.currency for line in lines}) > 1:
        raise ApiError("All line items must have the same currency.", param="line_items")
    name = lines[0].name + (f" (+{len(lines) - 1})" if len(lines) > 1 else "")
    basket = Basket(name, sum(line.amount for line in lines), lines[0].currency)
    check_amount(basket.amount, basket.currency, "line_items")
    return basket


def _read_order(form: Form, basket: Basket, session: CheckoutSession) -> IntentOrder:
    data = form.below("payment_intent_data")
    data.only(INTENT_FIELDS)
    options = form.below("saved_payment_method_options")
    options.only({"payment_method_save", "payment_method_remove", "allow_redisplay_filters"})
    if "payment_method_save" in options:
        saved: Json = dict.fromkeys(("allow_redisplay_filters", "payment_method_remove"))
        saved["payment_method_save"] = options.text("payment_method_save")
        session.saved_payment_method_options = saved
    return IntentOrder(
        amount=basket.amount,
        currency=basket.currency,
        customer=session.customer,
        metadata=data.metadata(),
        setup_future_usage=data.choice("setup_future_usage", ("off_session", "on_session")),
        receipt_email=data.text("receipt_email", EMAIL_MAX),
        description=data.text("description"),
        statement_descriptor=data.text("statement_descriptor", 22),
        statement_descriptor_suffix=data.text("statement_descriptor_suffix", 22),
    )


def _read_expiry(form: Form, now_s: int) -> int:
    expires_at = form.integer("expires_at")
    if expires_at is None:
        return now_s + LIFE_MAX_S
    # By the simulated clock, like the expiry itself.
    life_s = expires_at - now_s
    if not LIFE_MIN_S - LIFE_SLACK_S <= life_s <= LIFE_MAX_S + LIFE_SLACK_S:
        raise ApiError(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout"
            " Session creation.",
            param="expires_at",
        )
    return expires_at


def _read_url(form: Form, name: str) -> str | None:
    url = form.text(name, URL_MAX)
    if url is not None and not url.startswith(("http://", "https://")):
        raise ApiError(
            "Not a valid URL: an explicit scheme (such as https) must be provided.",
            code="url_invalid",
            param=name,
        )
    return url


def _describe_payer(email: str | None) -> Json:
    nothing = dict.fromkeys(("address", "business_name", "individual_name", "name", "phone"))
    return {**nothing, "email": email, "tax_exempt": "none", "tax_ids": []}
