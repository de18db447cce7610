"""Audits the book against the payment service: both ways, for a period, in bounded requests.

Everything that the service lists since a moment is compared with the book; each credit booked since
then must have been listed, or is looked up on its own. Reports, and never books.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from billing.payments import BookedCredit, Payment
from billing.reconcile import Disagreement
from gateway.errors import PaymentError
from gateway.payments import comparison
from gateway.payments.comparison import UNKNOWN, money
from gateway.payments.history import UNBOOKED, PaymentHistory, Unbooked
from gateway.payments.ports import PaymentService, PaymentStore

FINDINGS_MAX: Final = 100
"""Payments with findings after which the comparison stops."""
ASKED_MAX: Final = 100
"""Payments looked up because no list named them: three requests each."""
CREDITS_PER_PAGE: Final = 500
PATIENCE_S: Final = 3.0
"""How long a new payment may be on its way to the book, and back."""

ADVICE: Final[Mapping[str, str]] = {
    **comparison.ADVICE,
    UNBOOKED: "Book what was paid: `caller payments reconcile --since DATE`.",
}
"""Rule -> what to do about its findings."""


@dataclass(slots=True)
class ProofResult:
    """The result of a comparison."""

    findings: Sequence[str] = ()
    objects: int = 0
    """Checked at the service."""
    credits: int = 0
    """Checked in the book."""
    unasked: int = 0
    """Credits that no list named and that were not looked up."""
    is_whole: bool = True
    """Whether nothing was left out."""


@dataclass(slots=True)
class _Found:
    unbooked: dict[str, Unbooked] = field(default_factory=dict)
    """By payment intent, because more than one list may show it."""
    differing: dict[str, Sequence[Disagreement]] = field(default_factory=dict)
    proven: set[str] = field(default_factory=set)
    of_book: dict[str, list[BookedCredit]] = field(default_factory=dict)
    """Payment intent, or "" if there is none -> credits that no list proved."""

    def __len__(self) -> int:
        return len(self.unbooked) + len(self.differing)


class PaymentProof:
    """Compares the book with the payment service."""

    def __init__(
        self,
        history: PaymentHistory,
        *,
        service: PaymentService,
        store: PaymentStore,
    ) -> None:
        self._history = history
        self._service = service
        self._store = store

    async def compare(self, since: datetime) -> ProofResult:
        """Compare everything created there, or booked here, since a moment.

        Raises PaymentError if the service is away; StoreUnavailableError.
        """
        proof, found = ProofResult(), _Found()
        async for step in self._history.walk(since):
            proof.objects += step.count
            # Keyed by intent: a payment appears in the lists of pages, intents, refunds and
            # disputes.
            found.unbooked |= {one.intent.id: one for one in step.unbooked}
            for intent_id, points in step.differing.items():
                known = found.differing.get(intent_id, ())
                found.differing[intent_id] = list(dict.fromkeys([*known, *points]))
            found.proven.update(step.proven)
            # Overwritten by each page: only the last one tells whether the walk was complete.
            proof.is_whole = not step.resume
            if len(found) >= FINDINGS_MAX:
                break
        # Otherwise credits would be looked up whose list was simply not reached.
        if proof.is_whole:
            await self._ask_about_credits(since, found, proof)
        # A webhook may be in transit, so findings must persist for a moment to be reported.
        if found.unbooked or found.differing or found.of_book:
            await asyncio.sleep(PATIENCE_S)
        proof.findings = [
            *map(str, await self._history.still(list(found.unbooked.values())[:FINDINGS_MAX])),
            *[str(point) for point in await self._that_stay(found)],
        ]
        return proof

    async def _ask_about_credits(self, since: datetime, found: _Found, proof: ProofResult) -> None:
        """Look up credits booked since then that no list has proved."""
        # The other direction: a credit without a payment appears in no list.
        after: tuple[str, int] | None = ("", 0)
        while after is not None:
            page, after = await self._store.credited(since, after, CREDITS_PER_PAGE)
            proof.credits += len(page)
            unnamed = [credit for credit in page if credit.reference not in found.proven]
            payments = await self._store.find_all({one.named_payment_id for one in unnamed})
            for credit in unnamed:
                intent_id = _intent_id(credit, payments.get(credit.named_payment_id))
                # Already reported with that payment.
                if intent_id in found.unbooked or intent_id in found.differing:
                    continue
                is_room = intent_id in found.of_book or len(found.of_book) < ASKED_MAX
                if is_room:
                    found.of_book.setdefault(intent_id, []).append(credit)
                else:
                    proof.unasked += 1
                    proof.is_whole = False
        for intent_id, credits in list(found.of_book.items()):
            # A refund booked now may belong to a payment older than any list that was read.
            if not await self._unproven(intent_id, credits):
                del found.of_book[intent_id]

    async def _that_stay(self, found: _Found) -> Sequence[Disagreement]:
        """Compare again what differed; return what still differs."""
        left: list[Disagreement] = []
        for intent_id, points in list(found.differing.items())[:FINDINGS_MAX]:
            # Compared again with the current book: only differences found both times count.
            again = await self._history.compare(intent_id) if intent_id else ()
            left += [p for p in points if p in again or p.rule in comparison.OF_LISTS]
        for intent_id, credits in found.of_book.items():
            left += await self._unproven(intent_id, credits)
        return list(dict.fromkeys(left))

    async def _unproven(
        self, intent_id: str, credits: Sequence[BookedCredit]
    ) -> Sequence[Disagreement]:
        """Return how the service contradicts credits of one of its payments."""
        if not intent_id:
            return [point for credit in credits for point in await self._unattributed(credit)]
        try:
            return await self._history.compare(intent_id, *(credit.reference for credit in credits))
        except PaymentError as error:
            if not error.is_missing:
                raise
        return [_unknown(credit) for credit in credits]

    async def _unattributed(self, credit: BookedCredit) -> Sequence[Disagreement]:
        """Look up a refund, or dispute, that does not name its payment."""
        prefix, _, object_id = credit.reference.partition(":")
        # Its payment is missing here or names no intent, so ask for the object itself.
        kind = _KINDS.get(prefix)
        if kind is None:
            # Booked by hand, under another reference.
            return []
        try:
            intent_id = await self._service.intent_id_of(kind, object_id.partition(":")[0])
            if intent_id:
                return await self._history.compare(intent_id, credit.reference)
        except PaymentError as error:
            if not error.is_missing:
                raise
        return [_unknown(credit)]


_KINDS: Final = {"re": "refund", "du": "dispute"}


def _intent_id(credit: BookedCredit, payment: Payment | None) -> str:
    prefix, _, intent_id = credit.reference.partition(":")
    if prefix == "pi":
        return intent_id
    return payment.payment_intent_id or "" if payment is not None else ""


def _unknown(credit: BookedCredit) -> Disagreement:
    shown = money(credit.micros, credit.currency)
    return Disagreement(UNKNOWN, credit.reference, f"account {credit.account_id}: {shown} here")
