"""Compares everything the payment service has since a moment with the credits in the book.

The reconciler asks about payments that the book is waiting for. A book restored from an older
backup has lost some: they are found only by going through everything the service has. Lists are
read page by page, newest first; what they prove is compared with the book, and only differences are
fetched in full. What the book lacks can be booked; what differs is reported. All of it can be
repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from billing.errors import MoneyError
from billing.payments import Intent, amounts_of, noted, top_up_reference
from billing.reconcile import Disagreement
from gateway.errors import PaymentError
from gateway.payments.comparison import (
    differences,
    entries_that_differ,
    is_blank,
    is_suspect,
    minor_money,
    rows_that_differ,
)
from gateway.payments.events import CHECKOUT, HISTORY, INTENT
from gateway.payments.ports import HistoryPage, PaymentService, PaymentStore, PaymentTrace
from gateway.payments.service import Payments

REACH: Final[Mapping[str, timedelta]] = {
    CHECKOUT: timedelta(hours=2),
    INTENT: timedelta(hours=2),
    "refund": timedelta(days=45),
    "dispute": timedelta(days=180),
}
"""How long before the given time objects may have been created that proved something after it. A
page is paid within its hour, or the book knows that it is open; a refund fails within a month
(Stripe, "Refunds", failed refunds); a dispute is decided within months."""
PAGES_MAX: Final = 10_000
"""Pages per walk, a million objects; a longer walk continues where it stopped."""
_NOTED: Final = frozenset({CHECKOUT, INTENT})
"""Kinds whose objects carry our metadata, if they are ours."""
UNBOOKED: Final = "paid at the payment service, and not booked"


@dataclass(frozen=True, slots=True)
class Unbooked:
    """A payment of ours that is at least partly missing from the book."""

    intent: Intent
    references: Sequence[str]
    """Of the missing facts."""
    checkout_id: str = ""
    """The page on which it was paid, if the object names one."""
    why: str = ""
    """Why they could not be booked; empty if that was not tried."""

    def __str__(self) -> str:
        """Format it for people, as an audit finding."""
        intent = self.intent
        amounts, whose = amounts_of(intent), f"account {intent.account_id or 'unnamed'}"
        named = (
            f"{name} ({minor_money(amounts[name], intent.currency)}, {whose})"
            for name in self.references
        )
        text = f"{UNBOOKED}: {', '.join(named)}"
        return f"{text}: {self.why}" if self.why else text


@dataclass(frozen=True, slots=True)
class PageResult:
    """The result of one page."""

    kind: str
    count: int
    """Objects checked."""
    unbooked: Sequence[Unbooked]
    differing: Mapping[str, Sequence[Disagreement]]
    """Payment intent -> how the book differs from it; "" for pages that no one has paid on."""
    blank: Mapping[str, PaymentTrace]
    """Payment -> the object that names what its row lacks, if that is the only difference."""
    proven: Collection[str]
    """References of credits that the page proves."""
    resume: str
    """Where the next page begins; empty after the last."""


class PaymentHistory:
    """The history of one account at the payment service."""

    def __init__(self, payments: Payments, *, service: PaymentService, store: PaymentStore) -> None:
        self._payments = payments
        self._service = service
        self._store = store

    async def walk(self, since: datetime, resume: str = "") -> AsyncIterator[PageResult]:
        """Yield what the book lacks, and what differs, page by page; ends after `PAGES_MAX`.

        Raises ValueError for an unknown `resume`; PaymentError if the service is away;
        StoreUnavailableError.
        """
        # `kind:cursor`, as printed for the operator when a walk is interrupted.
        first, _, after = resume.partition(":")
        kinds = list(HISTORY)[HISTORY.index(first) if first else 0 :]
        for _ in range(PAGES_MAX):
            # The cursor is an id, so objects created meanwhile do not shift the pages.
            page = await self._service.history(kinds[0], since - REACH[kinds[0]], after)
            kind, after = kinds[0], page.after
            # This kind is done; `resume` then names the next kind without a cursor.
            if not after:
                del kinds[0]
            resume = f"{kinds[0]}:{after}" if kinds else ""
            yield await self._step(kind, page, resume)
            if not kinds:
                break

    async def book(self, found: Unbooked) -> Unbooked | None:
        """Book what the book lacks; return what is still missing, and why, or None.

        Raises PaymentError if the service is away, and StoreUnavailableError.
        """
        why = "its account is not known here; create it, and repeat this"
        try:
            # The function that books what webhooks report: there is only one way to book.
            if await self._payments.recover(found.intent, found.checkout_id) is not None:
                why = (
                    "its payment here belongs to another payment intent, or its refund is booked"
                    " here under another name; see the service's pages"
                )
        except MoneyError as error:
            why = f"{error}; see the service's pages"
        except PaymentError as error:
            if error.retryable:
                raise
            # Only this payment is refused; the walk continues with the others.
            why = f"the service refuses ({error.service_code or error.status})"
        # Ask the book and not `recover`: what counts is what is booked.
        left = await self._lacking(found.references)
        return replace(found, references=left, why=why) if left else None

    async def fill_in(self, payment_id: str, named: PaymentTrace) -> bool:
        """Store the ids that a payment's row lacks; return False if another payment has them.

        Raises StoreUnavailableError.
        """
        ids = ([name] if name else [] for name in (named.checkout_id, named.intent_id))
        known = dict(await self._store.find_all([payment_id], *ids))
        payment = known.pop(payment_id, None)
        # Another payment has one of the ids: a person must decide which is right.
        if payment is None or known:
            return False
        await self._store.record(
            payment_id,
            payment.state,
            checkout_id=named.checkout_id or None,
            payment_intent_id=named.intent_id or None,
        )
        return True

    async def still(self, found: Sequence[Unbooked]) -> Sequence[Unbooked]:
        """Return what the book still lacks: a webhook may have been in transit."""
        left = [(one, await self._lacking(one.references)) for one in found]
        return [replace(one, references=names) for one, names in left if names]

    async def compare(self, intent_id: str, *more: str) -> Sequence[Disagreement]:
        """Return how the book differs from a payment intent, its refunds and its disputes.

        `more` are references of credits that name it. Raises PaymentError, StoreUnavailableError.
        """
        return await self._compare(await self._service.intent(intent_id), more)

    async def _compare(self, intent: Intent, more: Iterable[str] = ()) -> Sequence[Disagreement]:
        booked = dict(await self._store.booked([*amounts_of(intent), *more]))
        payments = await self._store.find_all((), intent_ids=[intent.id])
        payment = next(iter(payments.values()), None)
        if payment is not None:
            booked |= {entry.reference: entry for entry in await self._store.entries(payment)}
        return list(differences(intent, booked, payment))

    async def _step(self, kind: str, page: HistoryPage, resume: str) -> PageResult:
        blank: dict[str, PaymentTrace] = {}
        suspects, rows, proven = await self._suspects(page.traces, blank, bear_notes=kind in _NOTED)
        unbooked, differing = [], dict[str, Sequence[Disagreement]](rows)
        for trace in suspects:
            # The page carries our metadata from the start; the intent may have lost it.
            intent = noted(
                await self._service.intent(trace.intent_id),
                account_id=trace.account_id,
                payment_id=trace.payment_id,
            )
            found = await self._compare(intent)
            if found:
                differing[intent.id] = [*differing.get(intent.id, ()), *found]
            # Others may sell through the same account at the service; their payments are not ours.
            if intent.payment_id:
                # Leaves out what proves nothing, such as a failed refund.
                due = [name for name, minor in amounts_of(intent).items() if minor]
                if lacking := await self._lacking(due):
                    unbooked.append(Unbooked(intent, lacking, trace.checkout_id))
                    # Booking it also completes its row.
                    differing.pop(intent.id, None)
        return PageResult(kind, page.count, unbooked, differing, blank, proven, resume)

    async def _suspects(
        self, traces: Sequence[PaymentTrace], blank: dict[str, PaymentTrace], *, bear_notes: bool
    ) -> tuple[Sequence[PaymentTrace], Mapping[str, Sequence[Disagreement]], Collection[str]]:
        """Return what must be fetched in full, what lists alone show, and what is proved.

        Rows that only lack what an object names are added to `blank`.
        """
        names = {name for trace in traces for name in trace.amounts}
        names |= {top_up_reference(trace.intent_id) for trace in traces}
        booked, closed = await self._store.booked(names), await self._store.closed(names)
        payments = await self._store.find_all(
            {t.payment_id for t in traces} | {c.named_payment_id for c in booked.values()},
            {trace.checkout_id for trace in traces if trace.checkout_id},
        )
        by_page = {one.checkout_id: one for one in payments.values() if one.checkout_id}
        suspects: dict[str, PaymentTrace] = {}
        differing: dict[str, list[Disagreement]] = {}
        proven: set[str] = set()
        for trace in traces:
            if trace.amounts and all(name in closed for name in trace.amounts):
                # Of closed books nothing is left to compare.
                continue
            top_up = booked.get(top_up_reference(trace.intent_id))
            rows = [payments.get(trace.payment_id), by_page.get(trace.checkout_id)]
            # Refunds and disputes have no metadata of ours, so each would seem to differ from the
            # row.
            if top_up is not None and bear_notes:
                rows.append(payments.get(top_up.named_payment_id))
            if bear_notes and not trace.payment_id and not any(rows):
                # Sold by others through the same account: no metadata of ours, and not booked.
                continue
            if is_suspect(trace, booked, top_up):
                suspects[trace.intent_id] = trace
            else:
                # The list alone is enough where it agrees, which saves three requests per payment.
                proven |= {name for name, minor in trace.amounts.items() if minor}
            points = [p for row in rows if row for p in rows_that_differ(trace, row)]
            blank |= {row.id: trace for row in rows if row and is_blank(trace, row)}
            points += entries_that_differ(trace, booked, payments)
            if points:
                differing.setdefault(trace.intent_id, []).extend(dict.fromkeys(points))
        return list(suspects.values()), differing, proven

    async def _lacking(self, references: Sequence[str]) -> Sequence[str]:
        known = {*await self._store.booked(references), *await self._store.closed(references)}
        return [reference for reference in dict.fromkeys(references) if reference not in known]
