"""Finds what webhooks did not report: payments that wait too long, and undelivered events.

Runs periodically on any node, or on all: everything it does may be done twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from billing.clock import Clock, utc_now
from billing.errors import MoneyError
from billing.payments import SAVED_CARD_KINDS, Payment, PaymentState
from gateway.errors import PaymentError
from gateway.payments.auto_top_up import AutoTopUps
from gateway.payments.events import KINDS
from gateway.payments.ports import PaymentService, PaymentStore
from gateway.payments.service import Payments

QUIET: Final = timedelta(seconds=60)
"""How long a payment is left to its webhooks."""
PERIOD_S: Final = 60.0
"""Pause between two rounds."""
PAYMENTS_MAX: Final = 100
"""Payments checked per round."""
PAGES_MAX: Final = 5
"""Pages of missed events read per round; the next round continues there."""
LOOK_BACK: Final = timedelta(days=3)
"""How far back the first round looks: Stripe itself retries for that long."""
OVERLAP: Final = timedelta(minutes=2)
"""Overlap of two rounds, for clocks that differ and events that are listed late."""
GIVEN_UP_MAX: Final = 20
"""Charges that failed without the service's answer, and that the first round asks about again."""
LOST_AFTER: Final = timedelta(hours=2)
"""A checkout that the service has never named within this time will not be paid."""

log = structlog.get_logger(__name__)


class PaymentReconciler:
    """Books the outcome of pending payments. One instance does one round at a time."""

    def __init__(
        self,
        payments: Payments,
        auto: AutoTopUps,
        *,
        service: PaymentService,
        store: PaymentStore,
        clock: Clock = utc_now,
    ) -> None:
        self._payments = payments
        self._auto = auto
        self._service = service
        self._store = store
        self._clock = clock
        self._since = clock() - LOOK_BACK
        self._began = self._since
        self._after = ""
        self._is_first = True

    async def reconcile(self) -> int:
        """Do one round; return how many payments were checked.

        One that the service refuses does not delay the others. Raises StoreUnavailableError, and
        PaymentError if the service is away.
        """
        # Least recently checked first; every check updates the row's time, with any result.
        waiting = await self._store.pending(self._clock() - QUIET, PAYMENTS_MAX)
        away: PaymentError | None = None
        for payment in waiting:
            try:
                await self._look_at(payment)
            except (MoneyError, PaymentError) as error:
                is_gone = isinstance(error, PaymentError) and error.is_missing
                # Moves it to the end of the queue, so that the others get their turn.
                state = PaymentState.EXPIRED if is_gone else payment.state
                await self._store.record(payment.id, state)
                if isinstance(error, PaymentError) and error.retryable:
                    # The service is probably away: the next payment would wait for nothing, too.
                    away = error
                    break
                _go_on(payment.id, error)
        # Even then: a payment that is never answered must not delay the news about all others.
        found = await self._recheck() + await self._read_missed()
        if away is not None:
            raise away
        return len(waiting) + found

    async def _recheck(self) -> int:
        """Ask once more about charges that recently failed without the service's answer."""
        if not self._is_first:
            return 0
        made = 0
        for payment in await self._store.given_up(self._clock() - LOOK_BACK, GIVEN_UP_MAX):
            try:
                made += await self._auto.recheck(payment)
            except (MoneyError, PaymentError) as error:
                _go_on(payment.id, error)
        self._is_first = False
        return made

    async def _look_at(self, payment: Payment) -> None:
        # The service knows it, and its object decides.
        if payment.checkout_id or payment.payment_intent_id:
            await self._payments.book_outcome(payment)
        # The request or its answer was lost; repeated under the same key it charges at most once.
        elif payment.kind in SAVED_CARD_KINDS:
            await self._auto.charge(payment)
        else:
            # A page that was opened but not recorded can still be paid; its webhook names the
            # payment.
            is_lost = self._clock() - payment.created_at > LOST_AFTER
            state = PaymentState.EXPIRED if is_lost else PaymentState.CREATED
            await self._store.record(payment.id, state)

    async def _read_missed(self) -> int:
        since, began, after = self._since, self._began, self._after
        found: dict[tuple[str, str], None] = {}
        for _ in range(PAGES_MAX):
            # Set once, at the first page: later events belong to the next round.
            if not after:
                began = self._clock()
            page = await self._service.missed_events(since, after)
            # Several events name the same object, and one look at it is enough.
            found |= dict.fromkeys(page.objects)
            after = page.after
            # After the last page, the next round starts slightly before this one did.
            if not after:
                since = began - OVERLAP
                break
        # Listed newest first; the oldest has waited longest.
        for kind, object_id in reversed(found):
            # An event type on the list may be about another kind of object.
            if kind in KINDS:
                try:
                    await self._payments.book_object(kind, object_id)
                except (MoneyError, PaymentError) as error:
                    _go_on(object_id, error)
        # Only now, so that events that could not be booked are read again.
        self._since, self._began, self._after = since, began, after
        return len(found)


def _go_on(name: str, error: MoneyError | PaymentError) -> None:
    """Log an error of one payment; raise one that would affect the next payment, too."""
    # Retryable means that the service is away: the next payment would wait for nothing, too.
    if isinstance(error, PaymentError) and error.retryable:
        raise error
    log.warning("payment not reconciled", object=name, failure=error.code)
