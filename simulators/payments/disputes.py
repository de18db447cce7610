"""Simulates disputes: the bank takes a payment back, looks at evidence and decides. Pure.

https://docs.stripe.com/disputes/how-disputes-work
"""

from __future__ import annotations

from typing import Final

from simulators.payments.clock import NS_PER_S
from simulators.payments.customers import merge_metadata
from simulators.payments.errors import ApiError
from simulators.payments.form import Form
from simulators.payments.resources import EVIDENCE_TEXTS, Charge, Dispute, Json, to_json
from simulators.payments.world import World

EVIDENCE_DUE_S: Final = 7 * 86400
EVIDENCE_MAX: Final = 20_000
REASONS: Final = (
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
)
DECISIONS: Final = ("under_review", "won", "lost", "warning_closed")
# What Stripe's test mode obeys when it is the uncategorized text, https://docs.stripe.com/testing
_WINNING: Final = "winning_evidence"
_LOSING: Final = "losing_evidence"


class Disputes:
    """The disputes of one account."""

    def __init__(self, world: World) -> None:
        self._world = world

    def open(
        self,
        charge: Charge,
        now_ns: int,
        *,
        amount: int | None = None,
        reason: str = "fraudulent",
        is_inquiry: bool = False,
    ) -> Dispute:
        """Open a dispute: the bank takes the money or, in an inquiry, only asks.

        Raises:
            ApiError: nothing was paid, it is disputed already, or it is less than the amount.
        """
        left = charge.amount_captured - charge.amount_refunded
        amount = left if amount is None else amount
        # What was refunded is with the card holder already, and a charge is disputed once.
        if charge.disputed or not 0 < amount <= left:
            raise ApiError("This charge cannot be disputed, or not for this amount.")
        if reason not in REASONS:
            raise ApiError("Invalid reason", param="reason")
        due_by = now_ns // NS_PER_S + EVIDENCE_DUE_S
        dispute = self._world.registry.add(
            Dispute(
                id=self._world.registry.new_id(Dispute.PREFIX),
                created=now_ns // NS_PER_S,
                status="warning_needs_response" if is_inquiry else "needs_response",
                amount=amount,
                currency=charge.currency,
                charge=charge.id,
                payment_intent=charge.payment_intent,
                reason=reason,
                # During an inquiry a refund ends the matter; after a chargeback it would pay
                # twice.
                is_charge_refundable=is_inquiry,
                evidence_details={
                    "due_by": due_by,
                    "enhanced_eligibility": {},
                    "has_evidence": False,
                    "past_due": False,
                    "submission_count": 0,
                    "submission_method": "not_submitted",
                },
            )
        )
        card = charge.payment_method_details.get("card")
        if isinstance(card, dict):
            details: Json = {
                "brand": card["brand"],
                "case_type": "inquiry" if is_inquiry else "chargeback",
                "network": card["brand"],
                "network_reason_code": "10.4",
            }
            dispute.payment_method_details = {"type": "card", "card": details}
        charge.disputed = True
        # An inquiry moves no money, and a receiver must not book any.
        if not is_inquiry:
            self._move(dispute, -amount, "dispute", now_ns)
        self._world.emit("charge.dispute.created", dispute, now_ns)
        if not is_inquiry:
            self._world.emit("charge.dispute.funds_withdrawn", dispute, now_ns)
        # Without evidence until then the bank decides for the card holder; an inquiry is closed.
        self._world.later(
            dispute.id, EVIDENCE_DUE_S, now_ns, lambda at_ns: self._miss_deadline(dispute, at_ns)
        )
        return dispute

    def update(self, dispute_id: str, form: Form, now_ns: int) -> Dispute:
        """Stage evidence or submit it, as a request asks.

        Raises:
            ApiError: there is no such dispute, a field is malformed, or it takes no evidence.
        """
        form.only({"evidence", "submit", "metadata", "expand"})
        dispute = self._world.registry.find(Dispute, dispute_id, "dispute")
        evidence = form.below("evidence")
        evidence.only(EVIDENCE_TEXTS)
        given = {name: evidence.text(name, EVIDENCE_MAX) for name in EVIDENCE_TEXTS}
        changes = {name: text for name, text in given.items() if name in evidence}
        # Stripe submits unless told to stage, and takes one submission only.
        is_submitted = form.flag("submit", default=True)
        # Metadata can be changed at any time, evidence until it was submitted. Covers
        # `warning_needs_response` as well.
        if (changes or "submit" in form) and not dispute.status.endswith("needs_response"):
            raise ApiError(
                "This dispute is already submitted or closed: it takes no evidence.",
                code="dispute_evidence_not_accepted",
            )
        before = to_json(dispute)
        dispute.evidence.update(changes)
        merge_metadata(dispute.metadata, form)
        has_evidence = any(dispute.evidence[name] for name in EVIDENCE_TEXTS)
        dispute.evidence_details["has_evidence"] = has_evidence
        # A change of metadata alone submits nothing.
        if is_submitted and has_evidence and (changes or "submit" in form):
            self._submit(dispute, now_ns)
        self._world.emit("charge.dispute.updated", dispute, now_ns, before)
        return dispute

    def close(self, dispute_id: str, now_ns: int) -> Dispute:
        """Accept a dispute: it is lost.

        Raises:
            ApiError: there is none, or it is closed already.
        """
        dispute = self._world.registry.find(Dispute, dispute_id, "dispute")
        if not dispute.status.endswith("needs_response"):
            raise ApiError("This dispute is already submitted or closed.")
        self._finish(dispute, "lost", now_ns)
        return dispute

    def decide(self, dispute_id: str, status: str, now_ns: int) -> Dispute:
        """Move a dispute on, as the bank: it looks at the evidence, or decides.

        Raises:
            ApiError: there is none, it is decided already, or it cannot be decided so.
        """
        dispute = self._world.registry.find(Dispute, dispute_id, "dispute")
        is_inquiry = dispute.status.startswith("warning_")
        if dispute.is_finished or status not in DECISIONS:
            raise ApiError("This dispute cannot be decided, or not so.", param="status")
        if status == "under_review":
            before = to_json(dispute)
            self._review(dispute)
            self._world.emit("charge.dispute.updated", dispute, now_ns, before)
            return dispute
        # No money was taken by an inquiry, so that it can be neither won nor lost.
        if is_inquiry != (status == "warning_closed"):
            raise ApiError("An inquiry ends as warning_closed, and nothing else does.")
        self._finish(dispute, status, now_ns)
        return dispute

    def _submit(self, dispute: Dispute, now_ns: int) -> None:
        details = dispute.evidence_details
        count = details["submission_count"]
        assert isinstance(count, int), "counted here"
        details["submission_count"] = count + 1
        details["submission_method"] = "manual"
        text = dispute.evidence["uncategorized_text"]
        # Cancels the deadline: the bank has its evidence, and Stripe's test texts decide from here.
        self._review(dispute)
        if text in {_WINNING, _LOSING}:
            verdict = "won" if text == _WINNING else "lost"
            if dispute.status.startswith("warning_"):
                verdict = "warning_closed"
            self._world.later(
                dispute.id,
                self._world.settings.bank_delay_s,
                now_ns,
                lambda at_ns: self._finish(dispute, verdict, at_ns),
            )

    def _review(self, dispute: Dispute) -> None:
        is_inquiry = dispute.status.startswith("warning_")
        dispute.status = "warning_under_review" if is_inquiry else "under_review"
        self._world.schedule.drop(dispute.id)

    def _miss_deadline(self, dispute: Dispute, now_ns: int) -> None:
        is_inquiry = dispute.status.startswith("warning_")
        self._finish(dispute, "warning_closed" if is_inquiry else "lost", now_ns)

    def _finish(self, dispute: Dispute, status: str, now_ns: int) -> None:
        # A decision ends the deadline, or comes instead of the bank's own later one.
        self._world.schedule.drop(dispute.id)
        before = to_json(dispute)
        dispute.status = status
        if status == "won":
            # The money is back, and with it the right to refund.
            dispute.is_charge_refundable = True
            self._move(dispute, dispute.amount, "dispute_reversal", now_ns)
            self._world.emit("charge.dispute.funds_reinstated", dispute, now_ns)
        self._world.emit("charge.dispute.closed", dispute, now_ns, before)

    def _move(self, dispute: Dispute, amount: int, category: str, now_ns: int) -> None:
        movement = self._world.book(
            "adjustment", amount, dispute.currency, dispute.id, now_ns, category=category
        )
        dispute.balance_transactions.append(movement)
