"""Composes all pages: those of apps, of calls and prices, the landing page and the phone.

What they show they read as the API does.
"""

from __future__ import annotations

from collections.abc import Sequence

from billing.stores.statement import SqlStatementStore
from gateway.app import WebServices
from gateway.apps import APPS
from gateway.http.access import DeclaredRoute
from gateway.http.pages import STATIC_DIR
from gateway.http.site.calls import CallPages
from gateway.http.site.design import DesignPages
from gateway.http.site.door import Door
from gateway.http.site.landing import LandingPages
from gateway.http.site.rates import RatesPages
from gateway.http.site.reference import ReferencePages
from gateway.roles import http
from gateway.roles.pages import new_pages


def site_routes(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    """Return the routes of all pages, which `door` opens, and of the files that they load."""
    settings, velocity = services.settings, services.velocity
    pages = services.one(new_pages)
    table = services.rate_table
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
    design = DesignPages(door, STATIC_DIR, settings.landing_button)
    apps = [app.page_routes for app in APPS if app.page_routes is not None]
    return [
        *CallPages(door, services.index, SqlStatementStore(services.stores.engine)).routes(),
        *rates.routes(),
        *landing.routes(),
        *ReferencePages(door, settings.origin).routes(),
        *(design.routes() if settings.design_page == "on" else ()),
        *(route for page_routes in apps for route in page_routes(services, door)),
        *pages.routes(),
        *http.page_routes(pages.phone_page, pages.phone_manifest, pages.live_page),
    ]
