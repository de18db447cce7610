"""Declares buttons as an app. Each part imports what it returns, when a process takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.app import App, PersonalRows, Services, WebServices, Work

if TYPE_CHECKING:
    from gateway.http.access import DeclaredRoute
    from gateway.http.site.door import Door


def _apis() -> Mapping[str, Sequence[type]]:
    from gateway.buttons.api import ButtonsApi
    from gateway.buttons.visitor_api import EmbedApi

    return {"Buttons": (ButtonsApi,), "Visitors of buttons": (EmbedApi,)}


def _routes(services: WebServices) -> Sequence[DeclaredRoute]:
    from gateway.buttons.build import routes

    return routes(services)


def _page_types() -> Sequence[type]:
    from gateway.buttons.destination_pages import DestinationsPage
    from gateway.buttons.pages import PAGES

    return (*PAGES, DestinationsPage)


def _page_routes(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    from gateway.buttons.build import page_routes

    return page_routes(services, door)


def _work(services: Services) -> Work:
    from gateway.buttons.work import watch_budgets

    return watch_budgets(services)


def _personal_rows() -> PersonalRows:
    from gateway.buttons.personal_rows import PERSONAL_ROWS

    return PERSONAL_ROWS


BUTTONS: Final = App(
    name="buttons",
    apis=_apis,
    routes=_routes,
    page_types=_page_types,
    page_routes=_page_routes,
    work=_work,
    web_work=None,
    personal_rows=_personal_rows,
)
