"""Composes all pages: those of people, of an account's calls, money and keys, and the phone.

What they show they read as the API does. Knows no page's meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

from billing.clock import utc_now
from billing.stores.payments import SqlPaymentStore
from billing.stores.statement import SqlStatementStore
from gateway.apps import APPS
from gateway.calls.index import CallIndex
from gateway.calls.rate_table import RateTable
from gateway.embed.ports import (
    Proofs,
)
from gateway.http.access import DeclaredRoute
from gateway.http.api.payments import CardPayments
from gateway.http.site.buttons import ButtonPages
from gateway.http.site.calls import CallPages
from gateway.http.site.credit import CreditPages
from gateway.http.site.design import DesignPages
from gateway.http.site.destinations import DestinationPages
from gateway.http.site.forms import new_once
from gateway.http.site.keys import KeyPages
from gateway.http.site.landing import LandingPages
from gateway.http.site.rates import RatesPages
from gateway.http.site.reference import ReferencePages
from gateway.people.keys import Keys
from gateway.ports import Velocity
from gateway.roles import http
from gateway.roles.embed import own_buttons
from gateway.roles.erasure import credit_return
from gateway.roles.payments import PaymentServices
from gateway.roles.people import People, new_door, people_routes
from gateway.roles.prices import Prices
from gateway.roles.storage import Stores
from gateway.settings import Settings
from gateway.stores.holder_keys import SqlHolderKeys


def site_routes(
    settings: Settings,
    stores: Stores,
    people: People,
    prices: Prices,
    payments: PaymentServices | None,
    *,
    velocity: Velocity,
    index: CallIndex,
    proofs: Proofs,
) -> Sequence[DeclaredRoute]:
    """Return the routes of the pages.

    Args:
        settings: What the operator has set.
        stores: Where accounts, records and credit are kept.
        people: Where people are kept, and what they are shown.
        prices: What calls cost.
        payments: Takes payments; None where no payment service is set up.
        velocity: Bounds how often.
        index: Where calls are.
        proofs: Proves that numbers are people's.

    """
    door = new_door(people, velocity)
    statements = SqlStatementStore(stores.engine)
    table = RateTable(prices.rates, prices.closed_destinations)
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
    buttons = own_buttons(settings, stores, velocity)
    rates = RatesPages(
        door, velocity, prices.rates, prices.closed_destinations, table, settings.currency
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
    services = stores.services(settings)
    design = DesignPages(door, http.STATIC_DIR, settings.landing_button)
    return [
        *people_routes(settings, stores, velocity, people, door, refundable_of=refundable_of),
        *CallPages(door, index, statements).routes(),
        *credit.routes(),
        *rates.routes(),
        *landing.routes(),
        *ReferencePages(door, settings.origin).routes(),
        *(design.routes() if settings.design_page == "on" else ()),
        *KeyPages(door, keys, new_once).routes(),
        *(route for app in APPS for route in app.page_routes(services, door)),
        *ButtonPages(door, buttons, index.credit, settings.origin, new_once).routes(),
        *DestinationPages(door, buttons, proofs).routes(),
        *http.page_routes(
            people.pages.phone_page, people.pages.phone_manifest, people.pages.live_page
        ),
    ]
