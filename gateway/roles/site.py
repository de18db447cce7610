"""Composes all pages: those of people, of an account's calls, money and keys, and the phone.

What they show they read as the API does. Knows no page's meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

from billing.clock import utc_now
from billing.stores.statement import SqlStatementStore
from gateway.app import WebServices
from gateway.apps import APPS
from gateway.http.access import DeclaredRoute
from gateway.http.pages import STATIC_DIR
from gateway.http.site.calls import CallPages
from gateway.http.site.design import DesignPages
from gateway.http.site.forms import new_once
from gateway.http.site.keys import KeyPages
from gateway.http.site.landing import LandingPages
from gateway.http.site.rates import RatesPages
from gateway.http.site.reference import ReferencePages
from gateway.payments.build import card_payments
from gateway.people.keys import Keys
from gateway.roles import http
from gateway.roles.erasure import credit_return
from gateway.roles.people import People, new_door, people_routes
from gateway.stores.holder_keys import SqlHolderKeys


def site_routes(services: WebServices, people: People) -> Sequence[DeclaredRoute]:
    """Return the routes of the pages; `people` are the stores of people, and their pages."""
    settings, stores, velocity = services.settings, services.stores, services.velocity
    door = new_door(people, velocity)
    table = services.rate_table
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
    payments = services.one(card_payments)
    refundable_of = None if payments is None else credit_return(stores, payments).refundable
    design = DesignPages(door, STATIC_DIR, settings.landing_button)
    apps = [app.page_routes for app in APPS if app.page_routes is not None]
    return [
        *people_routes(settings, stores, velocity, people, door, refundable_of=refundable_of),
        *CallPages(door, services.index, SqlStatementStore(stores.engine)).routes(),
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
