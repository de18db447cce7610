"""Compares all that the payment service knows since a moment with the credits in the book.

The reconciler asks what became of payments that the book waits for. A book that was restored from
an older copy has forgotten some: they are found only by going over everything the service has.
Lists are read page by page, newest first; what they prove is looked up in the book, and only what
the book lacks is fetched whole. Everything may be done twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing.errors import MoneyError
from billing.money import format_money
from billing.payments import (
    Intent,
    dispute_references,
    from_minor,
    refund_references,
    top_up_reference,
)
from gateway.errors import PaymentError
from gateway.payments.events import CHECKOUT, HISTORY, INTENT
from gateway.payments.ports import PaymentService, PaymentStore, PaymentTrace
from gateway.payments.service import Payments, noted

REACH: Final[Mapping[str, timedelta]] = {
    CHECKOUT: timedelta(hours=2),
    INTENT: timedelta(hours=2),
    "refund": timedelta(days=45),
    "dispute": timedelta(days=180),
}
"""How long before the moment objects were created that may have proved something after it. A page
is paid within its hour, or the book knows of it as waiting; a refund fails within a month (Stripe,
"Refunds", failed refunds); a dispute is decided within months."""
PAGES_MAX: Final = 10_000
"""Pages of one walk, a million objects; a longer one goes on from where it stopped."""
UNBOOKED: Final = "paid at the payment service, and not booked"


@dataclass(frozen=True, slots=True)
class Unbooked:
    """A payment of ours of which the book lacks something."""

    intent: Intent
    references: Sequence[str]
    """Of the facts that it lacks."""
    why: str = ""
    """Why they could not be booked; empty where that was not tried."""

    def __str__(self) -> str:
        """Name it for people, as a finding of an audit."""
        intent = self.intent
        try:
            micros = from_minor(intent.received_minor, intent.currency)
            amount = format_money(micros, intent.currency)
        except MoneyError:
            amount = f"{intent.received_minor} {intent.currency}"
        what = ", ".join(self.references)
        text = f"{UNBOOKED}: {what} ({amount}, account {intent.account_id or 'unnamed'})"
        return f"{text}: {self.why}" if self.why else text


@dataclass(frozen=True, slots=True)
class Step:
    """What one page has come to."""

    kind: str
    count: int
    """Objects looked at."""
    unbooked: Sequence[Unbooked]
    resume: str
    """Where the next page begins; empty after the last."""


class PaymentHistory:
    """The history of one account at the payment service."""

    def __init__(self, payments: Payments, *, service: PaymentService, store: PaymentStore) -> None:
        self._payments = payments
        self._service = service
        self._store = store

    async def walk(self, since: datetime, resume: str = "") -> AsyncIterator[Step]:
        """Yield what the book lacks, page by page; ends early after `PAGES_MAX`.

        Raises ValueError for a `resume` that no step had; PaymentError, when the service is away;
        StoreUnavailableError.
        """
        first, _, after = resume.partition(":")
        kinds = list(HISTORY)[HISTORY.index(first) if first else 0 :]
        for _ in range(PAGES_MAX):
            page = await self._service.history(kinds[0], since - REACH[kinds[0]], after)
            unbooked = [found async for found in self._unbooked(page.traces) if found.references]
            kind, after = kinds[0], page.after
            if not after:
                del kinds[0]
            yield Step(kind, page.count, unbooked, f"{kinds[0]}:{after}" if kinds else "")
            if not kinds:
                break

    async def book(self, found: Unbooked) -> Unbooked | None:
        """Book what the book lacks; return what it lacks then, and why, or None for nothing.

        Raises PaymentError, when the service is away, and StoreUnavailableError.
        """
        why = "its account is not known here; create it, and repeat this"
        try:
            if await self._payments.recover(found.intent) is not None:
                why = "its payment here belongs to another payment intent; see the service's pages"
        except MoneyError as error:
            why = f"{error}; see the service's pages"
        except PaymentError as error:
            if error.retryable:
                raise
            why = f"the service refuses ({error.service_code or error.status})"
        left = await self._lacking(found.references)
        return Unbooked(found.intent, left, why) if left else None

    async def still(self, found: Sequence[Unbooked]) -> Sequence[Unbooked]:
        """Return what the book still lacks: a webhook may have been on its way."""
        left = [(one, await self._lacking(one.references)) for one in found]
        return [Unbooked(one.intent, references) for one, references in left if references]

    async def _unbooked(self, traces: Sequence[PaymentTrace]) -> AsyncIterator[Unbooked]:
        lacking = frozenset(
            await self._lacking([name for trace in traces for name in trace.references])
        )
        lost = {
            trace.intent_id: trace for trace in traces if not lacking.isdisjoint(trace.references)
        }
        for trace in lost.values():
            intent = noted(
                await self._service.intent(trace.intent_id),
                account_id=trace.account_id,
                payment_id=trace.payment_id,
            )
            # What others sell over the same account at the service is none of ours.
            if intent.payment_id:
                yield Unbooked(intent, await self._lacking(_references(intent)))

    async def _lacking(self, references: Sequence[str]) -> Sequence[str]:
        booked = await self._store.booked(references)
        return [reference for reference in dict.fromkeys(references) if reference not in booked]


def _references(intent: Intent) -> Sequence[str]:
    """Return the references of all that an intent proves, whatever its currency."""
    return [
        *([top_up_reference(intent.id)] if intent.status == "succeeded" else []),
        *(name for refund in intent.refunds for name in refund_references(refund)),
        *(name for dispute in intent.disputes for name in dispute_references(dispute)),
    ]
