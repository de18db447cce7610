"""Composes what operators do through the API."""

from __future__ import annotations

from accounts.ports import Sessions
from billing.clock import utc_now
from gateway.charging.grants import book_grant
from gateway.charging.recovery import bring_credits
from gateway.fleet.control import FleetControl
from gateway.http.access import DeclaredRoute
from gateway.http.api.admin import AdminApi, AdminRoutes
from gateway.http.api.data_requests import DataRequestsApi
from gateway.http.api.fleet import CallFinder, FleetApi
from gateway.people.administration import Administration
from gateway.roles.access import Access
from gateway.settings import Settings
from gateway.stores.administration import SqlAdministration
from gateway.stores.mail_outbox import queue_notice
from gateway.stores.opened import Stores
from gateway.stores.register import SqlRegister
from gateway.supervision.store import SqlSupervision


def compose_administration(stores: Stores, sessions: Sessions) -> Administration:
    """Return the acts of operators on a node's stores."""

    async def credit(account_id: str, micros: int, reference: str) -> bool:
        is_new = await book_grant(stores.ledger, account_id, micros, reference)
        await bring_credits(stores.gate, stores.ledger, account_id)
        return is_new

    return Administration(
        SqlAdministration(stores.engine, queue_notice, on_freeze=stores.gate.freeze),
        sessions,
        stores.gate.freeze,
        stores.key_epochs.invalidate,
        credit,
        utc_now,
    )


def admin_routes(
    settings: Settings,
    stores: Stores,
    access: Access,
    sessions: Sessions,
    control: FleetControl,
) -> list[DeclaredRoute]:
    """Return the routes of operators."""
    administration, auth = compose_administration(stores, sessions), access.auth
    networks = settings.admin_networks
    routing = AdminRoutes(auth, networks)
    finder = CallFinder(control, SqlSupervision(stores.engine))
    return [
        *AdminApi(auth, administration, networks).routes(),
        *DataRequestsApi(routing, SqlRegister(stores.engine), utc_now).routes(),
        *FleetApi(routing, control, finder, administration).routes(),
    ]
