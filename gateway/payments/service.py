"""Top-ups by card, and the only way by which the books learn the outcome of payments.

A report of the payment service is only a hint: `book_object` fetches the current state and books
each fact it proves, once. Webhooks, the return page and the reconciler all call it, concurrently
and as often as they like.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog

from billing.clock import Clock, utc_now
from billing.payments import (
    BY_PAGE,
    PENDING,
    TAKEN_BACK,
    CheckoutPage,
    Intent,
    Payment,
    PaymentFact,
    PaymentProfile,
    PaymentState,
    from_minor,
    noted,
    state_of,
)
from billing.ports import BookedEvent, LedgerStore
from gateway.errors import PaymentError, RequestRefusedError, frozen_account
from gateway.payments.amounts import chargeable
from gateway.payments.comparison import facts_to_book
from gateway.payments.events import CHECKOUT, INTENT
from gateway.payments.ports import (
    CheckoutOrder,
    OnCredit,
    OnFreeze,
    PaymentService,
    PaymentStore,
)
from gateway.ports import Notify
from gateway.settings import Settings

DOUBLE_CLICK: Final = timedelta(seconds=30)
"""How long a repeated request for the same amount is the same payment."""
CHECKOUT_LIFE: Final = timedelta(minutes=60)
"""How long a page may wait to be paid; Stripe allows 30 minutes to 24 hours."""
ROUNDS_MAX: Final = 3
"""How often a payment is read again if it is being booked elsewhere at the same time."""
LOOK_AGAIN: Final = timedelta(seconds=1)
"""Shortest interval at which a polling page has its payment looked up."""
BOOKING_MAX: Final = 8
"""Payments fetched and booked at once; more wait. SQL has ten connections."""

REFUNDED: Final = "payment.refunded"
REFUND_FAILED: Final = "payment.refund_failed"

_HAS_PAGE = frozenset(
    {
        PaymentState.CREATED,
        PaymentState.OPEN,
        PaymentState.PROCESSING,
        PaymentState.FAILED,
        PaymentState.EXPIRED,
    }
)
"""States in which the page may still report something new."""

log = structlog.get_logger(__name__)


def new_payment_id() -> str:
    """Return a new random payment id."""
    return "pay_" + secrets.token_hex(12)


def payment_id_of(account_id: str, key: str) -> str:
    """Return the id of the payment for an account's idempotency key."""
    digest = hashlib.sha256(f"{account_id}\0{key}".encode()).hexdigest()
    return "pay_" + digest[:24]


@dataclass(frozen=True, slots=True)
class ReturnPaths:
    """Where a person returns to from the payment page; `{}` stands for the payment's id."""

    paid: str
    cancelled: str


PHONE: Final = ReturnPaths("/?top-up={}", "/?top-up-cancelled=1")


class Payments:
    """The payments of one deployment; nodes have one each, independent of one another."""

    def __init__(
        self,
        settings: Settings,
        *,
        service: PaymentService,
        store: PaymentStore,
        ledger: LedgerStore,
        on_credit: OnCredit,
        on_freeze: OnFreeze,
        notify: Notify,
        clock: Clock = utc_now,
        new_id: Callable[[], str] = new_payment_id,
    ) -> None:
        self._settings = settings
        self._service = service
        self._store = store
        self._ledger = ledger
        self._on_credit = on_credit
        self._on_freeze = on_freeze
        self._notify = notify
        self._clock = clock
        self._new_id = new_id
        self._booking = asyncio.Semaphore(BOOKING_MAX)

    async def start_checkout(
        self,
        account_id: str,
        micros: int,
        *,
        save_card: bool = False,
        key: str = "",
        back: ReturnPaths = PHONE,
    ) -> tuple[Payment, str]:
        """Return a payment and the address of the page where a person makes it.

        `save_card`: the person allows later charges of the same card. `key` is the client's
        idempotency key; without one the same amount within `DOUBLE_CLICK` is the same payment.
        `back` applies if this request opens the page.

        Raises:
            RequestRefusedError: `amount_out_of_range`, `payment_key_reused`; `account_frozen` for
                an account that was deleted or is about to be, `account_restricted`.
            PaymentError: The service refused, or is away.
            StoreUnavailableError: The book of record is away.
            LookupError: No such account.

        """
        profile = await self._store.profile(account_id)
        # No one should pay for credit that is given up with the account, or may not be used.
        if profile.deleted or profile.leaving or profile.restricted:
            raise frozen_account(restricted=profile.restricted)
        # Validate before writing: a refused amount leaves no row.
        self.minor(micros, profile.currency)
        if key:
            payment = await self._create(payment_id_of(account_id, key), profile, micros)
        else:
            payment = await self._store.create_checkout(
                self._new_id(),
                account_id,
                micros,
                profile.currency,
                since=self._clock() - DOUBLE_CLICK,
            )
        # A charge of the saved card has no page: one that opened now would take money twice.
        if (payment.kind, payment.micros) != (BY_PAGE, micros):
            raise RequestRefusedError("payment_key_reused")
        page = await self._page_of(payment, profile, back, save_card=save_card)
        # The page was opened with the other choice: with a key that is a reuse, otherwise a new
        # payment.
        if page.saves_card != save_card:
            if key:
                raise RequestRefusedError("payment_key_reused")
            payment = await self._create(self._new_id(), profile, micros)
            page = await self._page_of(payment, profile, back, save_card=save_card)
        # If the process dies before this, the page's metadata still leads its webhook to the row.
        payment = await self._store.record(payment.id, PaymentState.OPEN, checkout_id=page.id)
        return payment, page.url or self._return_url(payment, back)

    async def _create(
        self, payment_id: str, profile: PaymentProfile, micros: int, kind: str = BY_PAGE
    ) -> Payment:
        return await self._store.create(
            payment_id, profile.account_id, kind, micros, profile.currency
        )

    def minor(self, micros: int, currency: str) -> int:
        """Return a chargeable amount in the service's minor units.

        Raises RequestRefusedError: `amount_out_of_range`.
        """
        return chargeable(self._settings, micros, currency)

    async def _page_of(
        self, payment: Payment, profile: PaymentProfile, back: ReturnPaths, *, save_card: bool
    ) -> CheckoutPage:
        """Return the one page of a payment, as opened by the first request for it.

        Another node may have requested it, with another origin or before the person's address was
        known: to the service that is a different request under the same key.
        """
        if payment.checkout_id:
            return await self._service.checkout(payment.checkout_id)
        try:
            return await self._open_page(payment, profile, back, save_card=save_card)
        except PaymentError as error:
            if error.service_code != "idempotency_error":
                raise
            page = await self._service.find_checkout(payment)
            if page is None:
                raise
            return page

    def _return_url(self, payment: Payment, back: ReturnPaths) -> str:
        return self._settings.origin + back.paid.format(payment.id)

    async def _open_page(
        self, payment: Payment, profile: PaymentProfile, back: ReturnPaths, *, save_card: bool
    ) -> CheckoutPage:
        order = CheckoutOrder(
            payment=payment,
            minor=self.minor(payment.micros, payment.currency),
            save_card=save_card,
            customer_id=profile.customer_id or "",
            email=profile.email,
            success_url=self._return_url(payment, back),
            cancel_url=self._settings.origin + back.cancelled.format(payment.id),
            # From the payment's own time, so that a repeated request is exactly the same.
            expires_at=payment.created_at + CHECKOUT_LIFE,
        )
        try:
            return await self._service.open_checkout(order)
        except PaymentError as error:
            if error.is_missing and profile.customer_id:
                await self._store.forget_card(payment.account_id, "card_gone")
            raise

    async def set_auto(
        self,
        account_id: str,
        *,
        enabled: bool,
        threshold_micros: int,
        amount_micros: int,
        key_id: str = "",
    ) -> PaymentProfile:
        """Switch automatic top-ups on or off.

        `key_id` is the API key that asks; empty for the holder. Raises RequestRefusedError:
        `amount_out_of_range`, `no_saved_card`, and `account_frozen` or `account_restricted` if
        they are to be switched on; StoreUnavailableError.
        """
        profile = await self._store.profile(account_id)
        if enabled:
            self.minor(amount_micros, profile.currency)
            if not 0 < threshold_micros <= self._settings.top_up_max:
                raise RequestRefusedError("amount_out_of_range", field="threshold")
            if amount_micros > self._settings.auto_top_up_day_max:
                raise RequestRefusedError("amount_out_of_range", field="amount")
            if not profile.has_card:
                raise RequestRefusedError("no_saved_card")
        changed = await self._store.set_auto(
            account_id,
            enabled=enabled,
            threshold_micros=threshold_micros,
            amount_micros=amount_micros,
            key_id=key_id,
        )
        if enabled and changed.frozen:
            raise frozen_account(restricted=changed.restricted)
        return changed

    async def forget_card(self, account_id: str) -> None:
        """Forget the saved card here and at the service, and switch automatic top-ups off.

        Repeating it is harmless. Raises PaymentError: nothing has changed here, try again;
        StoreUnavailableError, LookupError.
        """
        profile = await self._store.profile(account_id)
        if profile.customer_id:
            # There first: once its id is forgotten here, no one could have it deleted any more.
            await self._service.forget_customer(profile.customer_id)
        await self._store.forget_card(account_id, "")

    async def book_object(self, kind: str, object_id: str) -> Payment | None:
        """Book everything that an object of the service proves; None if it is not ours.

        Repeating it is harmless. Raises PaymentError, StoreUnavailableError: perhaps not booked,
        try again.
        """
        async with self._booking:
            try:
                payment, intent_id = await self._locate(kind, object_id)
            except PaymentError as error:
                if error.is_missing:
                    return None
                raise
            if payment is None:
                return None
            checkout_id = object_id if kind == CHECKOUT else ""
            return await self._book_outcome(payment, checkout_id, intent_id)

    async def book_outcome(self, payment: Payment, intent: str = "", page: str = "") -> Payment:
        """Fetch the outcome of a payment and book it. Raises the same as `book_object`."""
        async with self._booking:
            return await self._book_outcome(payment, page, intent)

    async def recover(self, intent: Intent, checkout_id: str = "") -> Payment | None:
        """Book everything that an intent of ours proves, even if its payment is unknown here.

        `checkout_id` is the page it was paid on, if known. None if its account is unknown here.
        Raises the same as `book_object`.
        """
        known = await self._store.find_by_intent(intent.id) or await self._adopt(intent)
        return await self.book_outcome(known, intent.id, checkout_id) if known else None

    async def refresh(self, payment: Payment) -> Payment:
        """Return a payment's current state; the last known one if the service is away.

        Raises StoreUnavailableError.
        """
        is_known = payment.checkout_id or payment.payment_intent_id
        is_waiting = payment.state in PENDING and is_known
        if not is_waiting or self._clock() - payment.updated_at < LOOK_AGAIN:
            return payment
        try:
            return await self.book_outcome(payment)
        except PaymentError as error:
            log.warning("payment not looked up", payment=payment.id, code=error.service_code)
            return payment

    async def _locate(self, kind: str, object_id: str) -> tuple[Payment | None, str]:
        if kind == CHECKOUT:
            page = await self._service.checkout(object_id)
            payment = await self._store.find(page.payment_id)
            # Paid but unknown here: the book was restored from an older copy.
            if payment is None and page.intent_id:
                intent = await self._service.intent(page.intent_id)
                payment = await self._adopt(
                    noted(intent, account_id=page.account_id, payment_id=page.payment_id)
                )
            return payment, page.intent_id
        intent_id = object_id
        if kind != INTENT:
            intent_id = await self._service.intent_id_of(kind, object_id)
        payment = await self._store.find_by_intent(intent_id)
        if payment is None and intent_id:
            payment = await self._adopt(await self._service.intent(intent_id))
        return payment, intent_id

    async def _adopt(self, intent: Intent) -> Payment | None:
        """Return the payment that an intent names, recreated if it was lost but is paid."""
        payment = await self._store.find(intent.payment_id)
        # An unpaid intent proves nothing, so nothing is recreated from it.
        if payment is not None or not intent.payment_id or not intent.received_minor:
            return payment
        try:
            profile = await self._store.profile(intent.account_id)
        except LookupError:
            log.warning("paid for an unknown account", payment=intent.payment_id)
            return None
        micros = from_minor(intent.received_minor, profile.currency)
        return await self._create(intent.payment_id, profile, micros, intent.kind)

    async def _book_outcome(self, payment: Payment, checkout_id: str, intent_id: str) -> Payment:
        checkout_id = payment.checkout_id or checkout_id
        intent_id = payment.payment_intent_id or intent_id
        for attempt in range(ROUNDS_MAX):
            page = intent = None
            if checkout_id and payment.state in _HAS_PAGE:
                page = await self._service.checkout(checkout_id)
                intent_id = intent_id or page.intent_id
            if intent_id:
                intent = await self._service.intent(intent_id)
            # Another process has booked since: freeze or unfreeze by the current state.
            if attempt and intent is not None:
                await self._freeze(payment, intent)
            if intent is None or await self._book(payment, intent):
                break
        return await self._store.record(
            payment.id,
            state_of(page, intent),
            checkout_id=checkout_id or None,
            payment_intent_id=intent_id or None,
            receipt_url=intent.receipt_url if intent else "",
            failure=intent.failure if intent else "",
        )

    async def _book(self, payment: Payment, intent: Intent) -> bool:
        """Book what is not booked yet; return False if it must be read again."""
        entries = await self._store.entries(payment) if intent.refunds else ()
        facts = facts_to_book(intent, payment, entries)
        is_steady = True
        for fact in facts:
            is_steady &= await self._book_fact(payment, intent, fact)
        if facts:
            # Even if it was booked before: the process that did it may have died right after.
            await self._on_credit(payment.account_id)
        return is_steady

    async def _book_fact(self, payment: Payment, intent: Intent, fact: PaymentFact) -> bool:
        if await self._store.is_booked(fact.reference):
            return True
        # Side effects first: once the fact is booked, no one would do them.
        await self._prepare(payment, intent, fact)
        profile = await self._store.profile(payment.account_id)
        data = event_data(payment, fact.micros, fact.reference)
        news = BookedEvent(_EVENTS[fact.kind, fact.micros > 0], data)
        sequence = await self._ledger.add_credit(
            payment.account_id,
            fact.micros,
            reference=fact.reference,
            kind=fact.kind,
            reason=fact.reason,
            payment_id=payment.id,
            news=news,
        )
        if sequence is None:
            # Another process was faster and may know more: do not leave our own freeze behind.
            return fact.kind != "dispute"
        self._notify(news.name, data)
        if profile.deleted:
            log.warning("paid for a deleted account", payment=payment.id, fact=fact.reference)
            self._notify("payment.account_deleted", data)
        return True

    async def _prepare(self, payment: Payment, intent: Intent, fact: PaymentFact) -> None:
        if fact.kind == "top-up" and intent.is_card_saved and intent.payment_method_id:
            is_kept = await self._store.save_card(
                payment.account_id, intent.customer_id, intent.payment_method_id, intent.email
            )
            if not is_kept:
                await self._service.forget_customer(intent.customer_id)
        if fact.kind == "dispute":
            await self._freeze(payment, intent, only_releases=fact.micros > 0)

    async def _freeze(
        self, payment: Payment, intent: Intent, *, only_releases: bool = False
    ) -> None:
        """Freeze the account while any of its payments is disputed or lost.

        A dispute that is won freezes nothing: an operator may have released the others.
        """
        account_id = payment.account_id
        # A dispute that is won must not unfreeze an account with another open dispute.
        is_frozen = state_of(None, intent) in TAKEN_BACK or await self._store.is_disputed(
            account_id, besides=payment.id
        )
        if not (is_frozen and only_releases):
            await self._on_freeze(account_id, is_frozen)


def event_data(payment: Payment, micros: int, reference: str) -> dict[str, Any]:
    """Return the fields of an event about an amount of a payment, by what it is booked as."""
    return {
        "account_id": payment.account_id,
        "payment_id": payment.id,
        "kind": payment.kind,
        "micros": abs(micros),
        "currency": payment.currency,
        "reference": reference,
    }


_EVENTS = {
    ("top-up", True): "payment.received",
    ("refund", False): REFUNDED,
    ("refund", True): REFUND_FAILED,
    ("dispute", False): "payment.disputed",
    ("dispute", True): "payment.dispute_won",
}
