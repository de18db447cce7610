"""Builds what operators do through the API: with accounts, nodes and live calls."""

from __future__ import annotations

from typing import Final

from billing.clock import utc_now
from gateway.administration.acts import Administration
from gateway.administration.api import AdminApi
from gateway.administration.data_requests_api import DataRequestsApi
from gateway.administration.fleet_api import FleetApi
from gateway.administration.register import SqlRegister
from gateway.administration.store import SqlAdministration
from gateway.app import PeopleServices, WebServices
from gateway.charging.grants import book_grant
from gateway.charging.recovery import bring_credits
from gateway.http.access import DeclaredRoute
from gateway.http.call_finder import CallFinder
from gateway.people.build import new_sessions
from gateway.stores.mail_outbox import queue_notice
from gateway.supervision.store import SqlSupervision

APIS: Final[tuple[type, ...]] = (AdminApi, DataRequestsApi, FleetApi)
"""The classes whose methods declare operations."""


def new_acts(services: PeopleServices) -> Administration:
    """Return the acts of operators."""
    stores = services.stores

    async def credit(account_id: str, micros: int, reference: str) -> bool:
        is_new = await book_grant(stores.ledger, account_id, micros, reference)
        await bring_credits(stores.gate, stores.ledger, account_id)
        return is_new

    return Administration(
        SqlAdministration(stores.engine, queue_notice, on_freeze=stores.gate.freeze),
        services.one(new_sessions),
        stores.gate.freeze,
        stores.key_epochs.invalidate,
        credit,
        utc_now,
    )


def routes(services: WebServices) -> list[DeclaredRoute]:
    """Return the routes of what operators do with accounts, requests, nodes and live calls."""
    engine, routing, acts = services.stores.engine, services.admin_routes, services.one(new_acts)
    finder = CallFinder(services.fleet, SqlSupervision(engine))
    return [
        *AdminApi(routing, acts).routes(),
        *DataRequestsApi(routing, SqlRegister(engine), utc_now).routes(),
        *FleetApi(routing, services.fleet, finder, acts).routes(),
    ]
