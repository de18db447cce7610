"""Composes all pages: those of people, of an account's calls, money and keys, and the phone.

What they show they read as the API does. Knows no page's meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

from billing.stores.statement import SqlStatementStore
from gateway.calls.index import CallIndex
from gateway.http.access import DeclaredRoute
from gateway.http.site.calls import CallPages
from gateway.ports import LiveCalls, Velocity
from gateway.roles import http
from gateway.roles.people import People, people_routes
from gateway.roles.storage import Stores
from gateway.settings import Settings


def site_routes(
    settings: Settings, stores: Stores, velocity: Velocity, people: People, *, live: LiveCalls
) -> Sequence[DeclaredRoute]:
    """Return the routes of the pages; `live` are the live calls within reach."""
    index = CallIndex(settings.node, live, stores.records, stores.gate)
    statements = SqlStatementStore(stores.engine)
    return [
        *people_routes(settings, stores, velocity, people),
        *CallPages(people.door, index, statements).routes(),
        *http.page_routes(),
    ]
