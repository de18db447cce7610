"""Declares what operators do as an app. Each part imports what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.app import App, WebServices

if TYPE_CHECKING:
    from gateway.http.access import DeclaredRoute


def _apis() -> Mapping[str, Sequence[type]]:
    from gateway.administration.build import APIS

    return {"Administration": APIS}


def _routes(services: WebServices) -> Sequence[DeclaredRoute]:
    from gateway.administration.build import routes

    return routes(services)


ADMINISTRATION: Final = App(
    name="administration",
    apis=_apis,
    routes=_routes,
    page_types=None,
    page_routes=None,
    work=None,
    web_work=None,
    # The audit log is of people: whatever acts on them writes it, operators too.
    personal_rows=None,
)
