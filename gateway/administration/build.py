"""Builds what operators do with accounts through the API."""

from __future__ import annotations

from typing import Final

from billing.clock import utc_now
from gateway.administration.acts import Administration
from gateway.administration.api import AdminApi
from gateway.administration.data_requests_api import DataRequestsApi
from gateway.administration.register import SqlRegister
from gateway.administration.store import SqlAdministration
from gateway.app import PeopleServices, WebServices
from gateway.charging.grants import book_grant
from gateway.charging.recovery import bring_credits
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import AdminRoutes
from gateway.people.build import new_sessions
from gateway.stores.mail_outbox import queue_notice

APIS: Final[tuple[type, ...]] = (AdminApi, DataRequestsApi)
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
    """Return the routes of operators' acts, and of what people asked for about their data."""
    auth, networks = services.auth, services.settings.admin_networks
    register = SqlRegister(services.stores.engine)
    return [
        *AdminApi(auth, services.one(new_acts), networks).routes(),
        *DataRequestsApi(AdminRoutes(auth, networks), register, utc_now).routes(),
    ]
