"""Simulates customers and their payment methods. Pure: the time is an argument."""

from __future__ import annotations

from typing import Final

from simulators.payments import cards
from simulators.payments.cards import BY_TOKEN, Instrument
from simulators.payments.clock import NS_PER_S
from simulators.payments.errors import ApiError
from simulators.payments.form import Form
from simulators.payments.resources import (
    Customer,
    Json,
    Metadata,
    PaymentMethod,
    to_json,
)
from simulators.payments.world import MethodState, World

EMAIL_MAX: Final = 512
_EXPIRES_IN_YEARS: Final = 4
_TEXTS: Final = ("email", "name", "phone", "description")
FIELDS: Final = frozenset({*_TEXTS, "metadata", "expand", "invoice_settings"})


class Customers:
    """The customers of one account, and their payment methods."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._deleted: dict[str, None] = {}
        """Customers that were deleted, oldest first; as many as objects are kept of a kind."""

    def create(self, form: Form, now_ns: int) -> Customer:
        """Make a customer from a request.

        Raises:
            ApiError: a field is malformed.
        """
        form.only(FIELDS)
        customer = self.open(now_ns)
        _change(customer, form)
        self._world.emit("customer.created", customer, now_ns)
        return customer

    def open(self, now_ns: int, email: str | None = None) -> Customer:
        """Make a customer without an event."""
        registry = self._world.registry
        return registry.add(
            Customer(
                id=registry.new_id(Customer.PREFIX, 14),
                created=now_ns // NS_PER_S,
                email=email,
                invoice_prefix=registry.new_id("", 8)[1:].upper(),
            )
        )

    def update(self, customer_id: str, form: Form, now_ns: int) -> Customer:
        """Change a customer as a request asks.

        Raises:
            ApiError: there is no such customer, or a field is malformed.
        """
        form.only(FIELDS)
        customer = self._world.registry.find(Customer, customer_id, "customer")
        before = to_json(customer)
        _change(customer, form)
        self._world.emit("customer.updated", customer, now_ns, before)
        return customer

    def delete(self, customer_id: str, now_ns: int) -> Json:
        """Delete a customer and what it pays with.

        Raises:
            ApiError: there is no such customer.
        """
        registry = self._world.registry
        customer = registry.find(Customer, customer_id, "customer")
        # The methods stay, as records of what was paid with; they belong to nobody any more.
        for method in registry.newest(PaymentMethod):
            if method.customer == customer_id:
                method.customer = None
        registry.remove(Customer, customer_id)
        self._world.emit("customer.deleted", customer, now_ns)
        # Stripe answers for a deleted customer with a stub, and not with 404, so that these are
        # kept.
        self._deleted[customer_id] = None
        if len(self._deleted) > self._world.settings.objects_kept:
            del self._deleted[next(iter(self._deleted))]
        return _tombstone(customer_id)

    def deleted(self, customer_id: str) -> Json | None:
        """Return what is left of a deleted customer: it can be fetched, and only that.

        https://docs.stripe.com/api/customers/retrieve
        """
        return _tombstone(customer_id) if customer_id in self._deleted else None

    def new_method(
        self, instrument: Instrument, now_ns: int, email: str | None = None
    ) -> PaymentMethod:
        """Make a payment method that nobody owns yet."""
        kind = "card" if instrument.brand else "sepa_debit"
        method = PaymentMethod(
            id=self._world.registry.new_id(PaymentMethod.PREFIX),
            created=now_ns // NS_PER_S,
            type=kind,
        )
        method.billing_details["email"] = email
        if kind == "card":
            # Leap days do not matter: it only has to lie in the future of the simulated clock.
            year = 1970 + now_ns // NS_PER_S // (365 * 86400) + _EXPIRES_IN_YEARS
            method.card = cards.describe_card(instrument, year)
        else:
            method.sepa_debit = cards.describe_account(instrument)
        # Kept beside the method and not in it: clients read the method, and real ones do not tell.
        self._world.method_states[method.id] = MethodState(instrument.behaviour)
        return self._world.registry.add(method)

    def find_method(self, reference: str, now_ns: int) -> PaymentMethod:
        """Return a payment method by identifier, or a new one for a test card's token.

        Raises:
            ApiError: there is neither.
        """
        # Stripe's test tokens stand for a kind of card: each use makes a method of its own.
        if (instrument := BY_TOKEN.get(reference)) is not None:
            return self.new_method(instrument, now_ns)
        return self._world.registry.find(PaymentMethod, reference, "payment_method")

    def attach(self, method: PaymentMethod, customer_id: str, now_ns: int) -> None:
        """Attach a payment method to a customer, who can then pay with it again.

        Raises:
            ApiError: there is no such customer, or it belongs to another one or can never be used.
        """
        self._world.registry.find(Customer, customer_id, "customer")
        if method.customer == customer_id:
            return
        # To take it from another customer it would have to be detached first, which ends its use.
        if method.customer is not None:
            raise ApiError(
                "The payment method you provided has already been attached to a customer.",
                code="payment_method_unexpected_state",
            )
        before = to_json(method)
        method.customer = customer_id
        self._world.emit("payment_method.attached", method, now_ns, before)

    def detach(self, method_id: str, now_ns: int) -> PaymentMethod:
        """Take a payment method from its customer: it can never be used again.

        Raises:
            ApiError: there is none, or it has no customer.
        """
        method = self._world.registry.find(PaymentMethod, method_id, "payment_method")
        if method.customer is None:
            raise ApiError(
                "The payment method you provided is not attached to a customer so detachment is"
                " impossible."
            )
        before = to_json(method)
        method.customer = None
        # Never again, by Stripe's rule, even if it was never charged.
        self._world.method_states[method.id].is_used = True
        self._world.emit("payment_method.detached", method, now_ns, before)
        return method


def _tombstone(customer_id: str) -> Json:
    return {"id": customer_id, "object": "customer", "deleted": True}


def merge_metadata(metadata: Metadata, form: Form) -> None:
    """Change metadata as a request asks: an empty value removes a key, an empty field all.

    Raises:
        ApiError: it is malformed.
    """
    if "metadata" not in form:
        return
    changes = form.metadata()
    # `metadata=` with nothing below it unsets everything.
    if not changes:
        metadata.clear()
    for key, value in changes.items():
        if value:
            metadata[key] = value
        else:
            metadata.pop(key, None)


def _change(customer: Customer, form: Form) -> None:
    for name in _TEXTS:
        if name in form:
            setattr(customer, name, form.text(name, EMAIL_MAX))
    settings = form.below("invoice_settings")
    settings.only({"default_payment_method"})
    if "default_payment_method" in settings:
        customer.invoice_settings["default_payment_method"] = settings.text(
            "default_payment_method"
        )
    merge_metadata(customer.metadata, form)
