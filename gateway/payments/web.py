"""Builds the routes of payments: of programs, of pages, and of the payment service."""

from __future__ import annotations

import time
from collections.abc import Sequence

from billing.stores.payments import SqlPaymentStore
from billing.stores.statement import SqlStatementStore
from gateway.app import WebServices
from gateway.http.access import DeclaredRoute
from gateway.http.site.door import Door
from gateway.http.site.forms import new_once
from gateway.payments.api import CardPayments, PaymentsApi
from gateway.payments.build import card_payments
from gateway.payments.ledger_api import LedgerApi
from gateway.payments.pages import CreditPages
from gateway.payments.stripe_hook import StripeWebhook


def routes(services: WebServices) -> Sequence[DeclaredRoute]:
    """Return the routes of programs, and of the payment service if there is one."""
    auth, engine = services.auth, services.stores.engine
    found = services.one(card_payments)
    cards = None if found is None else CardPayments(found.payments, found.auto)
    api = PaymentsApi(services.settings, auth, services.velocity, SqlPaymentStore(engine), cards)
    ledger = LedgerApi(auth, SqlStatementStore(engine))
    if found is None:
        return [*api.routes(), *ledger.routes()]
    hook = StripeWebhook(
        services.settings.stripe_webhook_secrets,
        found.payments.book_object,
        time.time,
        services.refused_signatures,
    )
    return [*api.routes(), *ledger.routes(), *hook.routes()]


def page_routes(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    """Return the routes of the pages of credit."""
    found, engine = services.one(card_payments), services.stores.engine
    pages = CreditPages(
        door,
        services.settings,
        services.index.credit,
        services.rate_table,
        SqlStatementStore(engine),
        SqlPaymentStore(engine),
        services.velocity,
        None if found is None else CardPayments(found.payments, found.auto),
        new_once,
    )
    return pages.routes()
