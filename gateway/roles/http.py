"""Composes the routes of a process: API, webhooks of other services, probes and pages.

Reaches live calls through ports only, so that a process without media serves the same API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from database import refusals
from gateway.app import PeopleServices, WebServices
from gateway.apps import APPS
from gateway.calls.admission import Admission
from gateway.calls.carrier_news import Elsewhere
from gateway.calls.index import CallIndex
from gateway.calls.rate_table import RateTable
from gateway.carriers.callbacks import Callbacks
from gateway.fleet.control import FleetControl
from gateway.heartbeat.ticker import Ticker
from gateway.http import pages
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import AdminRoutes
from gateway.http.api.document import DocumentApi
from gateway.http.api.rates import RatesApi
from gateway.http.health import Health
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.payments.build import card_payments
from gateway.personal_data.rows import SqlPersonalRows
from gateway.ports import Announcer, CarrierCallbacks, NodeLoad
from gateway.roles.access import Access
from gateway.roles.carrier import CarrierSide
from gateway.roles.erasure import credit_return
from gateway.roles.fraud import Fraud
from gateway.roles.periodic_tasks import Alarms
from gateway.roles.prices import Prices
from gateway.settings import Settings
from gateway.stores.opened import Stores
from gateway.stores.watched_rights import StoreRights

Routes = Sequence[DeclaredRoute]


def compose_services(
    services: PeopleServices,
    access: Access,
    prices: Prices,
    fraud: Fraud,
    *,
    index: CallIndex,
    choose_node: Callable[[], str | None],
    on_balance: Callable[[str, int], None],
    announcer: Announcer,
    refused_signatures: RefusedSignatures,
    fleet: FleetControl,
    instance: str,
    ticker: Ticker,
    answer_fields: Mapping[str, str],
) -> WebServices:
    """Return what pages and API are built from.

    Args:
        services: What every process has that recognises people.
        access: Who may send requests, and how often.
        prices: What calls are quoted from.
        fraud: What admission asks about accounts, and the counts it reports.
        index: Finds calls on all nodes.
        choose_node: Returns the node for a new call; None if none takes any.
        on_balance: Called with an account (id) and its balance if that does not cover a call.
        announcer: Calls a number and speaks a text.
        refused_signatures: Counts requests with a wrong signature.
        fleet: What operators see of all nodes.
        instance: The name of this process.
        ticker: The beat of this process.
        answer_fields: Fields that each of its answers has.

    """
    settings, stores = services.settings, services.stores
    payments = services.one(card_payments)
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
        stores=stores,
        notify=services.notify,
        on_credit=services.on_credit,
        parts=services.parts,
        taking_back=services.taking_back,
        auth=access.auth,
        velocity=access.velocity,
        admission=admission,
        index=index,
        rates=prices.rates,
        closed_destinations=prices.closed_destinations,
        rate_table=RateTable(prices.rates, prices.closed_destinations),
        risk=fraud.risk,
        announcer=announcer,
        refused_signatures=refused_signatures,
        on_visitor_refusal=fraud.visitors.note,
        fleet=fleet,
        instance=instance,
        ticker=ticker,
        answer_fields=answer_fields,
        rows_of_people=SqlPersonalRows(stores.engine),
        refundable_of=None if payments is None else credit_return(stores, payments).refundable,
    )


def api_routes(services: WebServices) -> Routes:
    """Return the routes of `/v1`.

    Raises SettingsError for a check of visitors that cannot be loaded.
    """
    rates = RatesApi(
        services.settings,
        services.auth,
        services.velocity,
        services.stores.gate,
        services.rates,
        services.closed_destinations,
    )
    return [
        *rates.routes(),
        *DocumentApi().routes(),
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
    callbacks = Callbacks(
        settings.node if calls is not None else "",
        calls,
        refused_signatures,
        carrier_side.ghosts.found,
        elsewhere.tell,
    )
    return carrier_side.adapter.callbacks(settings, callbacks)


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
