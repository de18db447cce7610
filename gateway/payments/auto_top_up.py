"""Charges an account's saved card when its credit runs low, or when its holder taps a button.

At most one charge per account is in flight over all nodes, and no more is charged in a day than
the operator allows. The decisions are in `billing.payments`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from billing.clock import Clock, utc_now
from billing.money import LIMIT
from billing.payments import (
    ABANDONED,
    AUTOMATIC,
    BY_TAP,
    PENDING,
    AutoHistory,
    AutoLimits,
    AutoRefusal,
    ChargeRequest,
    Payment,
    PaymentProfile,
    PaymentState,
    auto_amount,
    is_final_decline,
    is_settled,
    may_send,
    saved_card_amount,
    to_minor,
)
from gateway.errors import PaymentError, RequestRefusedError, frozen_account
from gateway.payments.ports import Charge, PaymentService, PaymentStore
from gateway.payments.service import Payments, new_payment_id, payment_id_of
from gateway.ports import Notify

ASK_AGAIN: Final = timedelta(seconds=15)
"""How long a holder's settings are cached, and a refusal lasts."""
ACCOUNTS_MAX: Final = 10_000
"""Accounts cached; the oldest are looked up again."""
WORK_MAX: Final = 8
"""Accounts topped up at once; the others follow a second later."""

_DECLINED = 402
_MADE = frozenset({"succeeded", "processing"})
"""States of an intent whose charge was made, or is under way at a bank."""
REFUSALS = {
    AutoRefusal.NO_CARD: "no_saved_card",
    AutoRefusal.IN_FLIGHT: "charge_in_flight",
    AutoRefusal.DAY_CAP: "card_limit_reached",
}
"""Refusal -> public error code."""
# Below any possible balance, overdrawn ones included, so that nothing triggers.
_NEVER = -LIMIT - 1

log = structlog.get_logger(__name__)


class AutoTopUps:
    """The automatic top-ups of one node."""

    def __init__(
        self,
        payments: Payments,
        *,
        service: PaymentService,
        store: PaymentStore,
        limits: AutoLimits,
        notify: Notify,
        clock: Clock = utc_now,
        new_id: Callable[[], str] = new_payment_id,
    ) -> None:
        self._payments = payments
        self._service = service
        self._store = store
        self._limits = limits
        self._notify = notify
        self._clock = clock
        self._new_id = new_id
        self._thresholds: OrderedDict[str, tuple[datetime, int]] = OrderedDict()
        """Account -> until when this is valid, balance below which a top-up may be due."""
        self._work: set[asyncio.Task[None]] = set()

    def consider(self, account_id: str, balance_micros: int) -> None:
        """Top up in the background if it may be due; cheap enough for every second of a call."""
        # Runs every second for every live account: one dictionary look-up, no store.
        until, threshold_micros = self._thresholds.get(account_id, (None, 0))
        is_known = until is not None and self._clock() < until
        if (is_known and balance_micros >= threshold_micros) or len(self._work) >= WORK_MAX:
            return
        # Set before the task runs, so that the next second does not start another one. It also
        # keeps a refusal for the same time.
        self._remember(account_id, _NEVER)
        # In a task, because the caller must not wait for a card payment.
        work = asyncio.get_running_loop().create_task(self._top_up(account_id, balance_micros))
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    async def _top_up(self, account_id: str, balance_micros: int) -> None:
        try:
            await self.maybe_top_up(account_id, balance_micros)
        # Not an error: the payment is in the book as begun, and the reconciler finishes it.
        except PaymentError as error:
            log.warning("automatic top-up waits", account=account_id, code=error.service_code)
        except Exception:
            log.warning("automatic top-up failed", account=account_id, exc_info=True)

    async def stop(self) -> None:
        """Stop; the reconciler finishes what is in progress."""
        # A charge may be at the service already: cancelling only stops waiting for the answer.
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def maybe_top_up(self, account_id: str, balance_micros: int) -> Payment | AutoRefusal:
        """Charge the saved card if the balance is below the holder's threshold.

        Raises StoreUnavailableError, and PaymentError if it is unknown whether the card was
        charged; the reconciler then finds out. LookupError: no such account.
        """
        self._remember(account_id, _NEVER)
        # Read without a lock, to save a transaction if nothing is due; `decide` checks again.
        profile = await self._store.profile(account_id)
        if not profile.auto_enabled:
            return AutoRefusal.OFF
        if balance_micros >= profile.auto_threshold_micros:
            self._remember(account_id, profile.auto_threshold_micros)
            return AutoRefusal.ENOUGH_CREDIT

        def decide(profile: PaymentProfile, history: AutoHistory) -> int | AutoRefusal:
            return auto_amount(profile, history, self._limits, balance_micros, self._clock())

        begun = await self._store.begin_charge(account_id, self._new_id(), decide, self._write)
        return begun if isinstance(begun, AutoRefusal) else await self.charge(begun)

    async def charge_now(self, account_id: str, micros: int, key: str) -> Payment:
        """Charge the saved card at its holder's request, off session and without a page.

        Args:
            account_id: Whose credit.
            micros: How much.
            key: Idempotency key of the tap: a repeat charges nothing more, and finds out how the
                charge went if that was unknown.

        Returns:
            The payment: paid, failed with the reason, or pending if the service has not answered.

        Raises:
            RequestRefusedError: `amount_out_of_range`, `payment_key_reused`, `account_frozen`,
                `account_restricted`, `no_saved_card`, `charge_in_flight`, `card_limit_reached`.
            StoreUnavailableError: The book of record is away.
            LookupError: No such account.

        """
        profile = await self._store.profile(account_id)
        # Called for its validation: nothing is written for an amount that cannot be charged.
        self._payments.minor(micros, profile.currency)

        def decide(profile: PaymentProfile, history: AutoHistory) -> int | AutoRefusal:
            return saved_card_amount(profile, history, self._limits, micros)

        # The id is derived from the key, so a repetition on any node finds the same row.
        payment_id = payment_id_of(account_id, key)
        begun = await self._store.begin_charge(
            account_id, payment_id, decide, self._write, kind=BY_TAP
        )
        if begun is AutoRefusal.FROZEN:
            raise frozen_account(restricted=profile.restricted)
        if isinstance(begun, AutoRefusal):
            raise RequestRefusedError(REFUSALS[begun])
        # The key was used for a checkout, or for another amount.
        if (begun.kind, begun.micros) != (BY_TAP, micros):
            raise RequestRefusedError("payment_key_reused")
        # Repeating a tap whose outcome is known gets the same answer, without a request.
        if begun.state not in PENDING:
            return begun
        try:
            return await self.charge(begun)
        except PaymentError as error:
            # Reported as pending and not as failed: the card may have been charged, and a person
            # who reads "failed" pays again.
            log.warning("charge not known yet", payment=begun.id, code=error.service_code)
            return await self._store.find(begun.id) or begun

    def forget(self, account_id: str) -> None:
        """Look up the account's settings again at once."""
        self._thresholds.pop(account_id, None)

    def _remember(self, account_id: str, threshold_micros: int) -> None:
        self._thresholds[account_id] = (self._clock() + ASK_AGAIN, threshold_micros)
        self._thresholds.move_to_end(account_id)
        if len(self._thresholds) > ACCOUNTS_MAX:
            self._thresholds.popitem(last=False)

    def _write(self, payment: Payment, profile: PaymentProfile) -> str:
        """Write the request of a charge that is begun; it is stored before it is first sent."""
        return self._service.charge_request(
            Charge(
                payment=payment,
                minor=to_minor(payment.micros, payment.currency),
                customer_id=profile.customer_id or "",
                payment_method_id=profile.payment_method_id or "",
            )
        )

    async def charge(self, payment: Payment) -> Payment:
        """Charge a payment's amount, or find out how that went; repeating it is harmless.

        It stays pending while its outcome is not known. Raises the same as `maybe_top_up`.
        """
        request = await self._store.charge_request(payment.id)
        profile = await self._store.profile(payment.account_id)
        is_ours = may_send(payment, request, is_frozen=profile.frozen, now=self._clock())
        if request is None or not is_ours:
            return await self._find_out(payment, request)
        # Asked first: the answer to an earlier attempt may have been lost, and by now the service
        # may answer the same request differently, or have forgotten it.
        if request.tried_at is not None:
            made = await self._service.find_charge(payment, request.body)
            if made is not None and made.status in _MADE:
                return await self._book(payment, made.id)
        await self._store.note_try(payment.id)
        try:
            # The payment's id is the idempotency key: a repetition by anyone gets the first answer.
            intent = await self._service.charge(payment.id, request.body)
        except PaymentError as error:
            # The card may have been charged: the payment stays in flight, which blocks another
            # charge.
            if error.is_key_in_use:
                return payment
            if error.retryable and not error.is_key_spent:
                raise
            return await self._refused(payment, request, error)
        return await self._book(payment, intent.id)

    async def _refused(
        self, payment: Payment, request: ChargeRequest, error: PaymentError
    ) -> Payment:
        """Record a decline; find out what any other refusal means."""
        if error.status == _DECLINED:
            return await self._declined(payment, error)
        if error.is_key_spent:
            # For example by a request made before an older copy of the database was restored.
            log.warning("charge not known yet", payment=payment.id, code=error.service_code)
            return await self._find_out(payment, None)
        if request.tried_at is None:
            return await self._declined(payment, error)
        # An earlier attempt may still be in progress.
        return await self._find_out(payment, replace(request, tried_at=None), error)

    async def _find_out(
        self, payment: Payment, request: ChargeRequest | None, error: PaymentError | None = None
    ) -> Payment:
        """Ask what became of a charge that is not to be requested (again).

        It has failed if the service knows nothing of it and nothing can be under way any more;
        `error` says why.
        """
        made = await self._service.find_charge(payment, request.body if request else "")
        is_over = is_settled(payment, request, self._clock())
        if made is not None and (made.status in _MADE or is_over):
            return await self._book(payment, made.id)
        if made is not None or not is_over:
            return payment
        if error is not None:
            return await self._declined(payment, error)
        return await self._store.record(payment.id, PaymentState.FAILED, failure=ABANDONED)

    async def _book(self, payment: Payment, intent_id: str) -> Payment:
        # Record the intent first: should this process die here, the reconciler looks it up.
        payment = await self._store.record(
            payment.id, PaymentState.PROCESSING, payment_intent_id=intent_id
        )
        return await self._payments.book_outcome(payment)

    async def recheck(self, payment: Payment) -> bool:
        """Ask again about a charge that failed without the service's word; return if it was made.

        Its credit is booked then. Raises the same as `maybe_top_up`.
        """
        made = await self._service.find_charge(payment, "")
        if made is None or made.status not in _MADE:
            return False
        log.warning("charge was made after all", payment=payment.id, account=payment.account_id)
        await self._payments.book_outcome(payment, made.id)
        return True

    async def _declined(self, payment: Payment, error: PaymentError) -> Payment:
        account_id, code = payment.account_id, error.service_code
        payment = await self._store.record(
            payment.id,
            PaymentState.FAILED,
            payment_intent_id=error.payment_intent_id or None,
            failure=code,
        )
        # Customer or card is gone at the service, so later charges would fail as well.
        if error.is_missing:
            code = "card_gone"
            await self._store.forget_card(account_id, code)
        # A person who tapped sees the answer on the page.
        if payment.kind == AUTOMATIC:
            await self._tell_declined(payment, error, code)
        return payment

    async def _tell_declined(self, payment: Payment, error: PaymentError, code: str) -> None:
        """Switch automatic top-ups off if the card must not be tried again; notify the holder."""
        history = await self._store.history(payment.account_id)
        is_final = error.status == _DECLINED and is_final_decline(code, history.failures)
        if not error.is_missing and not is_final:
            self._tell("auto_top_up.failed", payment, code)
            return
        # If the card is gone, `forget_card` has already switched them off.
        if is_final:
            await self._store.switch_auto_off(payment.account_id, code)
        self._tell("auto_top_up.off", payment, code, url=await self._link(payment))

    async def _link(self, payment: Payment) -> str:
        """Return a page where the amount can be paid by hand and a card saved again."""
        try:
            _, url = await self._payments.start_checkout(
                payment.account_id, payment.micros, save_card=True
            )
        # Without a link the mail says where to top up by hand.
        except (PaymentError, RequestRefusedError):
            return ""
        return url

    def _tell(self, event: str, payment: Payment, reason: str, **more: str) -> None:
        self._notify(
            event,
            {
                "account_id": payment.account_id,
                "payment_id": payment.id,
                "micros": payment.micros,
                "currency": payment.currency,
                "reason": reason,
                **more,
            },
        )
        log.warning(event, account=payment.account_id, payment=payment.id, reason=reason)
