"""Builds what takes payments by card, for the gateway and for an operator's commands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from billing.payments import AutoLimits
from billing.stores.freezes import FreezeReason
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import SqlLedgerStore
from gateway.app import Services
from gateway.charging import recovery
from gateway.payments.auto_top_up import AutoTopUps
from gateway.payments.history import PaymentHistory
from gateway.payments.reconciler import PaymentReconciler
from gateway.payments.refunds import Refunds
from gateway.payments.service import Payments
from gateway.stores.card_events import record_auto_top_up, record_profile_change

if TYPE_CHECKING:
    from gateway.payments.stripe_client import StripePayments


@dataclass(frozen=True, slots=True)
class PaymentServices:
    """The parts that take payments by card, composed."""

    service: StripePayments
    store: SqlPaymentStore
    payments: Payments
    refunds: Refunds
    auto: AutoTopUps
    reconciler: PaymentReconciler
    history: PaymentHistory


def card_payments(services: Services) -> PaymentServices | None:
    """Return what takes payments by card; None if no payment service is set up."""
    return compose_payments(services) if services.settings.stripe_api_key else None


def compose_payments(services: Services, *, recovers: bool = False) -> PaymentServices:
    """Return what takes payments by card.

    With `recovers` it books credits that the book has lost but the spend gate has.
    """
    settings, stores, notify = services.settings, services.stores, services.notify
    # Imported here: a gateway without payments starts faster without the vendor's library.
    from gateway.payments.stripe_client import StripePayments  # noqa: PLC0415

    async def credit_changed(account_id: str) -> None:
        # The gate first, or a charge in between would not see the new credit.
        await recovery.bring_credits(stores.gate, stores.ledger, account_id)
        await services.on_credit(account_id)

    async def freeze_changed(account_id: str, frozen: bool) -> None:
        # Charge its calls at once, so that they end now instead of within a second.
        await stores.freeze(account_id, frozen, FreezeReason.DISPUTE)
        await services.on_credit(account_id)

    service = StripePayments(api_key=settings.stripe_api_key.reveal(), origin=settings.stripe_url)
    store = SqlPaymentStore(
        stores.engine, on_profile=record_profile_change, on_paid=record_auto_top_up
    )
    # Without the gate's sequence: it makes the ledger refuse numbers that the gate has seen, and
    # exactly those are booked again here.
    ledger = SqlLedgerStore(stores.engine) if recovers else stores.ledger
    payments = Payments(
        settings,
        service=service,
        store=store,
        ledger=ledger,
        on_credit=credit_changed,
        on_freeze=freeze_changed,
        notify=notify,
    )
    refunds = Refunds(
        payments,
        service=service,
        store=store,
        ledger=ledger,
        balance=stores.gate.balance,
        on_credit=credit_changed,
        notify=notify,
    )
    pause = timedelta(seconds=settings.auto_top_up_pause_s)
    auto = AutoTopUps(
        payments,
        service=service,
        store=store,
        limits=AutoLimits(settings.auto_top_up_day_max, pause),
        notify=notify,
    )
    reconciler = PaymentReconciler(payments, auto, service=service, store=store)
    history = PaymentHistory(payments, service=service, store=store)
    return PaymentServices(service, store, payments, refunds, auto, reconciler, history)
