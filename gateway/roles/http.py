"""Composes what a process with pages and API serves of both, and what it builds them from.

Reaches live calls through ports only, so that a process without media serves the same API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.app import PeopleServices, WebServices
from gateway.apps import APPS
from gateway.calls.admission import Admission
from gateway.calls.index import CallIndex
from gateway.calls.rate_table import RateTable
from gateway.fleet.control import FleetControl
from gateway.heartbeat.ticker import Ticker
from gateway.http import pages
from gateway.http.access import DeclaredRoute
from gateway.http.api.document import DocumentApi
from gateway.http.api.rates import RatesApi
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.payments.build import card_payments
from gateway.personal_data.rows import SqlPersonalRows
from gateway.ports import Announcer
from gateway.roles.access import AccessControl
from gateway.roles.erasure import credit_return
from gateway.roles.fraud import Fraud
from gateway.roles.prices import Prices

Routes = Sequence[DeclaredRoute]


def compose_services(
    services: PeopleServices,
    access: AccessControl,
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
        admin_routes=access.admin_routes,
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


def page_routes(
    rewrite: pages.Rewrite, rewrite_manifest: pages.Rewrite, rewrite_live: pages.Rewrite
) -> Routes:
    """Return the routes of the built pages, rewritten in the name of the service."""
    return pages.routes(pages.STATIC_DIR, rewrite, rewrite_manifest, rewrite_live)
