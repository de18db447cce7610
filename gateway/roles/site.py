"""Composes all pages: those of people, of an account's calls, money and keys, and the phone.

What they show they read as the API does. Knows no page's meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

from billing.clock import utc_now
from billing.stores.payments import SqlPaymentStore
from billing.stores.statement import SqlStatementStore
from gateway.app import WebServices
from gateway.apps import APPS
from gateway.calls.rate_table import RateTable
from gateway.http.access import DeclaredRoute
from gateway.http.api.payments import CardPayments
from gateway.http.pages import STATIC_DIR
from gateway.http.site.calls import CallPages
from gateway.http.site.credit import CreditPages
from gateway.http.site.design import DesignPages
from gateway.http.site.forms import new_once
from gateway.http.site.keys import KeyPages
from gateway.http.site.landing import LandingPages
from gateway.http.site.rates import RatesPages
from gateway.http.site.reference import ReferencePages
from gateway.people.keys import Keys
from gateway.roles import http
from gateway.roles.erasure import credit_return
from gateway.roles.payments import PaymentServices
from gateway.roles.people import People, new_door, people_routes
from gateway.roles.storage import Stores
from gateway.stores.holder_keys import SqlHolderKeys


def site_routes(
    services: WebServices, stores: Stores, people: People, payments: PaymentServices | None
) -> Sequence[DeclaredRoute]:
    """Return the routes of the pages.

    Args:
        services: What pages are built from.
        stores: Where accounts, records and credit are stored.
        people: The stores of people, and their pages.
        payments: Takes payments; None if no payment service is set up.

    """
    settings, velocity, index = services.settings, services.velocity, services.index
    door = new_door(people, velocity)
    statements = SqlStatementStore(stores.engine)
    table = RateTable(services.rates, services.closed_destinations)
    credit = CreditPages(
        door,
        settings,
        index.credit,
        table,
        statements,
        SqlPaymentStore(stores.engine),
        velocity,
        None if payments is None else CardPayments(payments.payments, payments.auto),
        new_once,
    )
    keys = Keys(SqlHolderKeys(stores.engine, stores.key_epochs.invalidate), velocity, utc_now)
    rates = RatesPages(
        door, velocity, services.rates, services.closed_destinations, table, settings.currency
    )
    landing = LandingPages(
        door,
        table,
        settings.currency,
        settings.home_countries,
        is_open=settings.sign_up == "open",
        button=settings.landing_button,
    )
    refundable_of = None if payments is None else credit_return(stores, payments).refundable
    design = DesignPages(door, STATIC_DIR, settings.landing_button)
    apps = [app.page_routes for app in APPS if app.page_routes is not None]
    return [
        *people_routes(settings, stores, velocity, people, door, refundable_of=refundable_of),
        *CallPages(door, index, statements).routes(),
        *credit.routes(),
        *rates.routes(),
        *landing.routes(),
        *ReferencePages(door, settings.origin).routes(),
        *(design.routes() if settings.design_page == "on" else ()),
        *KeyPages(door, keys, new_once).routes(),
        *(route for page_routes in apps for route in page_routes(services, door)),
        *http.page_routes(
            people.pages.phone_page, people.pages.phone_manifest, people.pages.live_page
        ),
    ]
