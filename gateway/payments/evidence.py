"""Collects evidence against a dispute: call records that show the service was used.

Call records only, which hold no audio; the last digits of each number are left out, because the
people called are no party to the dispute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from billing.cdr import CallRecord
from billing.money import format_money
from billing.payments import Payment, PaymentProfile
from billing.ports import CdrStore
from gateway.errors import RequestRefusedError
from gateway.payments.ports import PaymentService, PaymentStore

TEXT_CHARACTERS_MAX: Final = 20_000
"""Stripe's limit for one text."""
CALLS_PER_PAGE: Final = 200
CALLS_MAX: Final = 1_000
HIDDEN_DIGITS: Final = 4


def evidence_of(
    payment: Payment, profile: PaymentProfile, records: Sequence[CallRecord]
) -> dict[str, str]:
    """Return the fields of Stripe's evidence for one payment.

    `records` are the account's calls since the payment, newest first.
    """
    # Calls without charged seconds do not prove that the service was used.
    used = [record for record in records if record.closed is not None and record.closed.seconds]
    seconds = sum(record.closed.seconds for record in used if record.closed is not None)
    spent = format_money(sum(record.cost_micros for record in used), payment.currency)
    paid = format_money(payment.micros, payment.currency)
    evidence = {
        "product_description": (
            f"Prepaid credit of {paid} for telephone calls placed over the web, "
            "available at once after the payment."
        ),
        "access_activity_log": _bounded(_lines(used, payment.currency)),
        "uncategorized_text": (
            f"Paid on {_time(payment.created_at)}. Since then the account has made {len(used)} "
            f"answered calls of {seconds} seconds in all, for {spent}."
        ),
    }
    if profile.email:
        evidence["customer_email_address"] = profile.email
    return evidence


def _lines(records: Iterable[CallRecord], currency: str) -> Iterable[str]:
    for record in records:
        opened, closed = record.opened, record.closed
        # `used` contains closed records only.
        assert closed is not None
        number = opened.destination[:-HIDDEN_DIGITS] + "*" * HIDDEN_DIGITS
        cost = format_money(record.cost_micros, currency)
        page = f" from {opened.origin}" if opened.origin else ""
        yield (
            f"{_time(opened.created_at)} call to {number} ({opened.country}){page}, "
            f"{closed.seconds} s, {cost}"
        )


def _bounded(lines: Iterable[str]) -> str:
    text = ""
    for line in lines:
        # Records are newest first, so the oldest are dropped, and no line is cut in half.
        if len(text) + len(line) + 1 > TEXT_CHARACTERS_MAX:
            break
        text += line + "\n"
    return text


def _time(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


class DisputeEvidence:
    """Collects and submits evidence for the payments of one deployment."""

    def __init__(self, service: PaymentService, store: PaymentStore, records: CdrStore) -> None:
        self._service = service
        self._store = store
        self._records = records

    async def give(self, payment_id: str, *, submit: bool) -> dict[str, str]:
        """Store the evidence at every answerable dispute of a payment; return it.

        With `submit` it goes to the bank, which cannot be undone.

        Raises RequestRefusedError `payment_not_found` if there is no such payment or nothing to
        answer; PaymentError; StoreUnavailableError.
        """
        payment = await self._store.find(payment_id)
        if payment is None or payment.payment_intent_id is None:
            raise RequestRefusedError("payment_not_found")
        intent = await self._service.intent(payment.payment_intent_id)
        # Inquiries and decided disputes accept no evidence.
        disputes = [dispute for dispute in intent.disputes if dispute.is_answerable]
        if not disputes:
            raise RequestRefusedError("payment_not_found")
        profile = await self._store.profile(payment.account_id)
        evidence = evidence_of(payment, profile, await self._calls_since(payment))
        for dispute in disputes:
            await self._service.give_evidence(dispute.id, evidence, submit=submit)
        return evidence

    async def _calls_since(self, payment: Payment) -> list[CallRecord]:
        found: list[CallRecord] = []
        before = None
        while len(found) < CALLS_MAX:
            page = await self._records.page(payment.account_id, limit=CALLS_PER_PAGE, before=before)
            found += [r for r in page if r.opened.created_at >= payment.created_at]
            # Newest first: after a call older than the payment only older ones follow.
            if len(page) < CALLS_PER_PAGE or page[-1].opened.created_at < payment.created_at:
                break
            before = page[-1].opened.call_id
        return found
