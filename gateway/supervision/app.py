"""Declares supervision as an app. Each part imports what it returns, when a process takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.app import App, PersonalRows, WebServices

if TYPE_CHECKING:
    from gateway.http.access import DeclaredRoute
    from gateway.http.site.door import Door


def _apis() -> Mapping[str, Sequence[type]]:
    from gateway.supervision.api import FleetSupervisionApi, OwnSupervisionApi

    return {"Calls": (OwnSupervisionApi,), "Administration": (FleetSupervisionApi,)}


def _routes(services: WebServices) -> Sequence[DeclaredRoute]:
    from gateway.http.call_finder import CallFinder
    from gateway.supervision.api import FleetSupervisionApi, GrantDesk, OwnSupervisionApi
    from gateway.supervision.store import RedisGrants, SqlSupervision

    settings, stores = services.settings, services.stores
    rules = SqlSupervision(stores.engine)
    desk = GrantDesk(
        settings,
        CallFinder(services.fleet, rules),
        rules,
        RedisGrants(stores.redis),
        services.velocity,
    )
    own = OwnSupervisionApi(services.auth, desk)
    fleet = FleetSupervisionApi(services.admin_routes, desk)
    return [*own.routes(), *fleet.routes()]


def _page_types() -> Sequence[type]:
    from gateway.supervision.pages import PAGES

    return PAGES


def _page_routes(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    from billing.clock import utc_now
    from gateway.people.build import new_store
    from gateway.supervision.own_rule import Supervision
    from gateway.supervision.pages import SupervisionPages
    from gateway.supervision.store import SqlHolderSupervision

    rules = SqlHolderSupervision(services.one(new_store))
    return SupervisionPages(door, Supervision(rules, services.velocity, utc_now)).routes()


def _personal_rows() -> PersonalRows:
    from gateway.supervision.personal_rows import PERSONAL_ROWS

    return PERSONAL_ROWS


SUPERVISION: Final = App(
    name="supervision",
    apis=_apis,
    routes=_routes,
    page_types=_page_types,
    page_routes=_page_routes,
    work=None,
    web_work=None,
    personal_rows=_personal_rows,
)
