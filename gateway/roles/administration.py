"""Composes what operators do through the API with nodes, and with live calls of all accounts."""

from __future__ import annotations

from gateway.administration.build import new_acts
from gateway.app import WebServices
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import AdminRoutes
from gateway.http.api.fleet import CallFinder, FleetApi
from gateway.supervision.store import SqlSupervision


def admin_routes(services: WebServices) -> list[DeclaredRoute]:
    """Return the routes of what operators do with nodes and with live calls."""
    routing = AdminRoutes(services.auth, services.settings.admin_networks)
    finder = CallFinder(services.fleet, SqlSupervision(services.stores.engine))
    return [
        *FleetApi(routing, services.fleet, finder, services.one(new_acts)).routes(),
    ]
