"""Simulates refunds, by request or from the dashboard. Pure: the time is an argument.

https://docs.stripe.com/refunds
"""

from __future__ import annotations

from typing import Final

from simulators.payments.amounts import formatted
from simulators.payments.clock import NS_PER_S
from simulators.payments.customers import merge_metadata
from simulators.payments.errors import ApiError
from simulators.payments.form import Form
from simulators.payments.resources import (
    Charge,
    Dispute,
    Json,
    Metadata,
    PaymentIntent,
    Refund,
    to_json,
)
from simulators.payments.world import World

REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")
FIELDS: Final = frozenset({"charge", "payment_intent", "amount", "reason", "metadata", "expand"})


def find_charge(world: World, charge_id: str | None, intent_id: str | None) -> Charge:
    """Return the charge that a request means, by itself or by its payment intent.

    Raises:
        ApiError: there is none, or nothing has been paid.
    """
    if charge_id:
        return world.registry.find(Charge, charge_id, "charge")
    if not intent_id:
        raise ApiError("One of the following params should be provided: payment_intent or charge.")
    intent = world.registry.find(PaymentIntent, intent_id, "payment_intent")
    # The latest charge of an unpaid intent is a failed attempt.
    if intent.latest_charge is None or intent.status != "succeeded":
        raise ApiError(
            "This PaymentIntent does not have a successful charge.",
            param="payment_intent",
        )
    return world.registry.find(Charge, intent.latest_charge)


class Refunds:
    """The refunds of one account."""

    def __init__(self, world: World) -> None:
        self._world = world

    def create(self, form: Form, now_ns: int) -> Refund:
        """Give money back as a request asks.

        Raises:
            ApiError: a field is malformed, or there is not that much to give back.
        """
        form.only(FIELDS)
        charge = find_charge(self._world, form.text("charge"), form.text("payment_intent"))
        return self.give_back(
            charge,
            form.integer("amount"),
            now_ns,
            reason=form.choice("reason", REASONS),
            metadata=form.metadata(),
        )

    def give_back(
        self,
        charge: Charge,
        amount: int | None,
        now_ns: int,
        *,
        reason: str | None = None,
        metadata: Metadata | None = None,
    ) -> Refund:
        """Give a charge's money back, all that is left of it when no amount is named.

        Raises:
            ApiError: there is not that much to give back, or the bank has taken it already.
        """
        # Pending refunds count as given back, so that two at once cannot exceed the charge.
        left = charge.amount_captured - charge.amount_refunded
        amount = left if amount is None else amount
        self._check(charge, amount, left)
        is_card = "card" in charge.payment_method_details
        refund = self._world.registry.add(
            Refund(
                id=self._world.registry.new_id(Refund.PREFIX if is_card else "pyr"),
                created=now_ns // NS_PER_S,
                # Stripe shows a card's refund as succeeded at once, though it can still fail later.
                status="succeeded" if is_card else "pending",
                amount=amount,
                currency=charge.currency,
                charge=charge.id,
                payment_intent=charge.payment_intent,
                reason=reason,
                metadata=metadata or {},
                destination_details=_destination(is_card=is_card),
            )
        )
        kind = "refund" if is_card else "payment_refund"
        # The balance pays at once, also for a refund that has yet to arrive.
        movement = self._world.book(
            kind, -amount, charge.currency, refund.id, now_ns, category="refund"
        )
        refund.balance_transaction = movement.id
        self._change_charge(charge, amount)
        # As it was: a partial refund leaves `refunded` false, and a charge that was fully refunded
        # does not come this far.
        before = to_json(charge) | {"amount_refunded": charge.amount_refunded - amount}
        before["refunded"] = False
        self._world.emit("refund.created", refund, now_ns)
        self._world.emit("charge.refunded", charge, now_ns, before)
        if not is_card:
            self._world.later(
                refund.id,
                self._world.settings.bank_delay_s,
                now_ns,
                lambda at_ns: self._arrive(refund, at_ns),
            )
        return refund

    def fail(self, refund_id: str, now_ns: int, reason: str = "expired_or_canceled_card") -> Refund:
        """Fail a refund, as the bank: its money returns to the balance.

        Raises:
            ApiError: there is none, or it has failed before.
        """
        refund = self._world.registry.find(Refund, refund_id, "refund")
        if refund.status not in {"pending", "succeeded"}:
            raise ApiError("This refund can no longer fail.")
        # One that has failed must not arrive as well.
        self._world.schedule.drop(refund.id)
        before = to_json(refund)
        movement = self._world.book(
            "refund_failure", refund.amount, refund.currency, refund.id, now_ns
        )
        refund.status, refund.failure_reason = "failed", reason
        refund.failure_balance_transaction = movement.id
        charge = self._world.registry.find(Charge, refund.charge)
        # What came back can be refunded again.
        self._change_charge(charge, -refund.amount)
        # Stripe announces the same failure under three names; a receiver has to take it once.
        for event_type in ("refund.updated", "refund.failed", "charge.refund.updated"):
            self._world.emit(event_type, refund, now_ns, before)
        return refund

    def update(self, refund_id: str, form: Form, now_ns: int) -> Refund:
        """Change a refund's metadata as a request asks.

        Raises:
            ApiError: there is none, or a field is malformed.
        """
        form.only({"metadata", "expand"})
        refund = self._world.registry.find(Refund, refund_id, "refund")
        before = to_json(refund)
        merge_metadata(refund.metadata, form)
        self._world.emit("refund.updated", refund, now_ns, before)
        return refund

    def _check(self, charge: Charge, amount: int, left: int) -> None:
        if charge.status != "succeeded":
            raise ApiError("This charge has not succeeded: there is nothing to refund.")
        disputes = self._world.registry.newest(Dispute)
        # The bank has the money already: a refund on top would pay the card holder twice.
        if any(d.charge == charge.id and not d.is_charge_refundable for d in disputes):
            raise ApiError(
                f"Charge {charge.id} has been charged back; cannot issue a refund.",
                code="charge_disputed",
            )
        # Before the amount: a full refund that is repeated without one would be a refund of
        # nothing.
        if left <= 0:
            raise ApiError(
                f"Charge {charge.id} has already been refunded.", code="charge_already_refunded"
            )
        if amount < 1:
            raise ApiError(
                "Invalid positive integer", code="parameter_invalid_integer", param="amount"
            )
        if amount > left:
            raise ApiError(
                f"Refund amount ({formatted(amount, charge.currency)}) is greater than unrefunded"
                f" amount on charge ({formatted(left, charge.currency)})",
                param="amount",
            )

    def _change_charge(self, charge: Charge, amount: int) -> None:
        charge.amount_refunded += amount
        charge.refunded = charge.amount_refunded >= charge.amount_captured

    def _arrive(self, refund: Refund, now_ns: int) -> None:
        before = to_json(refund)
        refund.status = "succeeded"
        for event_type in ("refund.updated", "charge.refund.updated"):
            self._world.emit(event_type, refund, now_ns, before)


def _destination(*, is_card: bool) -> Json:
    if not is_card:
        return {"type": "sepa_debit"}
    card = {
        "reference_status": "pending",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {"card": card, "type": "card"}
