"""Serves `/v1/admin/live-history`: figures of all calls for each minute of the last day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import ADMIN, AdminRoutes
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope
from gateway.watching.history import Minute

HISTORY: Final = f"{ADMIN}/live-history"


class History(msgspec.Struct, kw_only=True):
    """The last day."""

    minutes: Sequence[Minute]
    """The oldest first."""


@dataclass(frozen=True, slots=True)
class HistoryApi:
    """Handler of the history of calls."""

    routing: AdminRoutes
    read: Callable[[], Awaitable[Sequence[Minute]]]
    """Returns the minutes, the oldest first."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's route."""
        return self.routing.serve(self)

    @operation(f"GET {HISTORY}", Scope.ADMIN, History)
    async def show_history(self, _request: Request, _principal: Principal) -> Response:
        """Return figures of all calls for each minute of the last day."""
        return Json(History(minutes=await self.read()))
