"""Serves `/v1/admin/nodes` and `/v1/admin/live-calls`: what operators' programs see of all nodes.

Knows no node: they are behind `FleetControl`.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from gateway.calls.call_view import live_view
from gateway.errors import RequestRefusedError
from gateway.fleet.control import FleetControl, NodeStoppingError
from gateway.fleet.exchange import NodeSilentError
from gateway.http.access import DeclaredRoute
from gateway.http.api.admin import ADMIN, ActRequest, AdminRoutes, order_of
from gateway.http.body import read_json
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.people.administration import Administration

NODES = f"{ADMIN}/nodes"
CALLS = f"{ADMIN}/live-calls"


@dataclass(frozen=True, slots=True)
class FleetApi:
    """Handlers of nodes and of everybody's live calls."""

    routing: AdminRoutes
    control: FleetControl
    administration: Administration

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        route = self.routing.route
        return [
            route(NODES, self.list_nodes),
            route(f"{NODES}/{{node}}/drain", self.drain, "POST"),
            route(f"{NODES}/{{node}}/resume", self.resume, "POST"),
            route(CALLS, self.list_calls),
            route(f"{CALLS}/{{call_id}}/end", self.end_call, "POST"),
        ]

    async def list_nodes(self, _request: Request, _principal: Principal) -> Response:
        """Return the nodes that run."""
        return Json({"nodes": self.control.roster.nodes()})

    async def drain(self, request: Request, _principal: Principal) -> Response:
        """Let a node take no new calls."""
        return await self._tell(request, takes=False)

    async def resume(self, request: Request, _principal: Principal) -> Response:
        """Let a node take new calls again."""
        return await self._tell(request, takes=True)

    async def list_calls(self, request: Request, _principal: Principal) -> Response:
        """Return the live calls of all nodes, or of one account."""
        found = await self.control.calls(account_id=request.query_params.get("account") or None)
        calls = [
            {"account_id": call.opened.account_id, "call": live_view(call)} for call in found.calls
        ]
        return Json({"calls": calls, "more": found.more, "silent_nodes": found.silent})

    async def end_call(self, request: Request, principal: Principal) -> Response:
        """End a live call, for a reason that the audit log of its account keeps."""
        body = await read_json(request, ActRequest)
        order = order_of(principal, body.reason)
        found = await self.control.calls(call_id=request.path_params["call_id"])
        if not found.calls:
            raise RequestRefusedError("node_silent" if found.silent else "call_not_found")
        (call,) = found.calls
        # Written first: whatever happens then, it is known who wanted it.
        await self.administration.note_ended_call(
            call.opened.account_id, call.opened.call_id, order
        )
        try:
            await self.control.end(call)
        except NodeSilentError:
            raise RequestRefusedError("node_silent") from None
        return Response(status_code=202)

    async def _tell(self, request: Request, *, takes: bool) -> Response:
        try:
            await self.control.take_calls(request.path_params["node"], takes=takes)
        except LookupError:
            raise RequestRefusedError("node_not_found") from None
        except NodeStoppingError:
            raise RequestRefusedError("node_stopping") from None
        except NodeSilentError:
            raise RequestRefusedError("node_silent") from None
        return Response(status_code=204)
