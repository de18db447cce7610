"""Serves `/v1/admin/live-history`: how all calls stood at each minute of the last day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.http.access import DeclaredRoute
from gateway.http.api.admin import ADMIN, AdminRoutes
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.monitor.history import Minute

HISTORY: Final = f"{ADMIN}/live-history"


def history_route(
    routing: AdminRoutes, read: Callable[[], Awaitable[Sequence[Minute]]]
) -> DeclaredRoute:
    """Return the route; `read` returns the minutes, the oldest first."""

    async def show(_request: Request, _principal: Principal) -> Response:
        return Json({"minutes": await read()})

    return routing.route(HISTORY, show)
