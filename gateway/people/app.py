"""Declares what people do with their account as an app. Each part imports what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.app import App, Services, WebServices, Work

if TYPE_CHECKING:
    from gateway.http.access import DeclaredRoute
    from gateway.http.site.door import Door


def _apis() -> Mapping[str, Sequence[type]]:
    from gateway.people.api import KeysApi

    return {"Account": (KeysApi,)}


def _routes(services: WebServices) -> Sequence[DeclaredRoute]:
    from gateway.people.api import KeysApi

    return KeysApi(services.auth).routes()


def _page_types() -> Sequence[type]:
    from gateway.people.web import PAGES

    return PAGES


def _page_routes(services: WebServices, door: Door) -> Sequence[DeclaredRoute]:
    from gateway.people.web import page_routes

    return page_routes(services, door)


def _work(services: Services) -> Work:
    from gateway.people.work import announce_documents

    return announce_documents(services)


PEOPLE: Final = App(
    name="people",
    apis=_apis,
    routes=_routes,
    page_types=_page_types,
    page_routes=_page_routes,
    work=_work,
    web_work=None,
    # What is stored of people themselves lies in `accounts`, for any app to ask; `personal_data`
    # exports it, forgets it and erases it last.
    personal_rows=None,
)
