"""Composes the routes of a process: API, webhooks of other services, probes and pages.

Reaches live calls through ports only, so that a process without media serves the same API.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from billing.stores.payments import SqlPaymentStore
from billing.stores.statement import SqlStatementStore
from database import refusals
from gateway.app import WebServices
from gateway.apps import APPS
from gateway.calls.admission import Admission
from gateway.calls.carrier_news import Elsewhere
from gateway.calls.index import CallIndex
from gateway.heartbeat.ticker import Ticker
from gateway.http import pages
from gateway.http.access import DeclaredRoute
from gateway.http.api.admin import AdminRoutes
from gateway.http.api.document import DocumentApi
from gateway.http.api.keys import KeysApi
from gateway.http.api.ledger import LedgerApi
from gateway.http.api.payments import CardPayments, PaymentsApi
from gateway.http.api.rates import RatesApi
from gateway.http.health import Health
from gateway.http.hooks.stripe import StripeWebhook
from gateway.http.hooks.twilio import TwilioWebhooks
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.ports import Announcer, CarrierCallbacks, NodeLoad
from gateway.roles.access import Access
from gateway.roles.carrier import CarrierSide
from gateway.roles.fraud import Fraud
from gateway.roles.payments import PaymentServices
from gateway.roles.periodic_tasks import Alarms
from gateway.roles.prices import Prices
from gateway.roles.storage import Stores
from gateway.roles.store_rights import StoreRights
from gateway.settings import Settings
from gateway.twilio.markup import hangup_twiml

Routes = Sequence[DeclaredRoute]


def compose_services(
    settings: Settings,
    stores: Stores,
    access: Access,
    prices: Prices,
    fraud: Fraud,
    *,
    index: CallIndex,
    choose_node: Callable[[], str | None],
    on_balance: Callable[[str, int], None],
    announcer: Announcer,
) -> WebServices:
    """Return what pages and API are built from.

    Args:
        settings: The operator's settings.
        stores: Where accounts, records and credit are stored.
        access: Who may send requests, and how often.
        prices: What calls are quoted from.
        fraud: What admission asks about accounts, and the counts it reports.
        index: Finds calls on all nodes.
        choose_node: Returns the node for a new call; None if none takes any.
        on_balance: Called with an account (id) and its balance if that does not cover a call.
        announcer: Calls a number and speaks a text.

    """
    admission = Admission(
        settings,
        tokens=access.tokens,
        velocity=access.velocity,
        gate=stores.gate,
        ledger=stores.ledger,
        rates=prices.rates,
        closed_destinations=prices.closed_destinations,
        risk=fraud.risk,
        choose_node=choose_node,
        on_refusal=fraud.refusals.note,
        on_balance=on_balance,
    )
    return WebServices(
        settings=settings,
        redis=stores.redis,
        engine=stores.engine,
        gate=stores.gate,
        records=stores.records,
        accounts=stores.accounts,
        key_epochs=stores.key_epochs,
        auth=access.auth,
        velocity=access.velocity,
        admission=admission,
        index=index,
        rates=prices.rates,
        closed_destinations=prices.closed_destinations,
        risk=fraud.risk,
        announcer=announcer,
        on_visitor_refusal=fraud.visitors.note,
    )


def api_routes(services: WebServices, payments: PaymentServices | None) -> Routes:
    """Return the routes of `/v1`; `payments` is None if no payment service is set up.

    Raises SettingsError for a check of visitors that cannot be loaded.
    """
    settings, auth, velocity = services.settings, services.auth, services.velocity
    cards = None if payments is None else CardPayments(payments.payments, payments.auto)
    payment_store = SqlPaymentStore(services.engine)
    rates = RatesApi(
        settings, auth, velocity, services.gate, services.rates, services.closed_destinations
    )
    return [
        *PaymentsApi(settings, auth, velocity, payment_store, cards).routes(),
        *rates.routes(),
        *KeysApi(auth).routes(),
        *DocumentApi().routes(),
        *LedgerApi(auth, SqlStatementStore(services.engine)).routes(),
        *(route for app in APPS for route in app.routes(services)),
    ]


def carrier_routes(
    settings: Settings,
    carrier_side: CarrierSide,
    calls: CarrierCallbacks | None,
    refused_signatures: RefusedSignatures,
    elsewhere: Elsewhere,
) -> Routes:
    """Return the routes that the carrier calls; `calls` are those of a process that is a node."""
    return TwilioWebhooks(
        settings.origin,
        settings.node if calls is not None else "",
        calls,
        carrier_side.verifier,
        refused_signatures,
        hangup_twiml(),
        carrier_side.ghosts.found,
        elsewhere.tell,
    ).routes()


def payment_routes(
    settings: Settings, payments: PaymentServices, refused_signatures: RefusedSignatures
) -> Routes:
    """Return the routes that the payment service calls."""
    return StripeWebhook(
        settings.stripe_webhook_secrets,
        payments.payments.book_object,
        time.time,
        refused_signatures,
    ).routes()


def health_routes(
    stores: Stores,
    alarms: Alarms,
    *,
    load: NodeLoad,
    ticker: Ticker,
    routing: AdminRoutes,
    instance: str,
    has_node: Callable[[], bool] | None,
) -> Routes:
    """Return the probes' routes, whose details are for whom `routing` lets in.

    `has_node` says whether a node of others takes calls.
    """
    # Its pages go on without one: a balancer must not take them away.
    nodes = {} if has_node is None else {"nodes": lambda: not has_node()}

    async def ask_redis() -> None:
        try:
            await stores.redis.ping()
        except Exception as error:
            # Distinguishes a full disk, which the probe names, from an unreachable server.
            raise refusals.unavailable("Redis does not answer", error) from error

    async def ask_sql() -> None:
        async with stores.engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))

    return Health(
        load,
        ticker,
        routing.admit,
        # Without Redis no hold can be placed, so no call can start.
        checks={"redis": ask_redis},
        # Without SQL calls go on: keys are cached and records wait in the outbox.
        weaknesses={"database": ask_sql, "redis_rights": StoreRights(stores.redis).require},
        alarms={
            "outbox": lambda: alarms.outbox.is_raised,
            "drainer": lambda: alarms.drainer.is_raised,
            "mails": lambda: alarms.mails.is_raised,
            **nodes,
        },
        figures={
            "drained_age_s": lambda: alarms.drainer.age_s,
            "mails_waiting": lambda: alarms.mails.waiting,
        },
        instance=instance,
    ).routes()


def page_routes(
    rewrite: pages.Rewrite, rewrite_manifest: pages.Rewrite, rewrite_live: pages.Rewrite
) -> Routes:
    """Return the routes of the built pages, rewritten in the name of the service."""
    return pages.routes(pages.STATIC_DIR, rewrite, rewrite_manifest, rewrite_live)
