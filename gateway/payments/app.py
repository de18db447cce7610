"""Declares payments as an app. Each part imports what it returns, when a process takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.app import App, WebServices

if TYPE_CHECKING:
    from gateway.http.access import DeclaredRoute
    from gateway.http.site.door import Door


def _apis() -> Mapping[str, Sequence[type]]:
    from gateway.payments.api import PaymentsApi
    from gateway.payments.ledger_api import LedgerApi

    return {"Account": (LedgerApi,), "Payments": (PaymentsApi,)}


def _routes(services: WebServices) -> Sequence[DeclaredRoute]:
    from gateway.payments.web import routes

    return routes(services)


def _page_types() -> Sequence[type]:
    from gateway.payments.pages import PAGES

    return PAGES


def _page_routes(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    from gateway.payments.web import page_routes

    return page_routes(services, door)


PAYMENTS: Final = App(
    name="payments",
    apis=_apis,
    routes=_routes,
    page_types=_page_types,
    page_routes=_page_routes,
    work=None,
    web_work=None,
    # Payments are rows of the book of record, which outlives the account.
    personal_rows=None,
)
