"""Serves `/v1/admin/nodes` and `/v1/admin/live-calls`: all nodes and their calls, for operators.

The nodes are behind `FleetControl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.administration.acts import Administration
from gateway.calls.call_view import CallView, live_view
from gateway.errors import RequestRefusedError
from gateway.fleet.control import FleetControl, NodeStoppingError
from gateway.fleet.exchange import NodeSilentError
from gateway.fleet.messages import LEVEL_MINUTES, LevelMinutes, LogLevel, level_said
from gateway.fleet.roster import NodeFacts
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import ADMIN, ActRequest, AdminRoutes, Reason, order_of
from gateway.http.body import read_json
from gateway.http.call_finder import CALLS, CallFinder
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope

NODES = f"{ADMIN}/nodes"
_TELLING = ("node_not_found", "node_stopping", "node_silent")


class Nodes(msgspec.Struct, kw_only=True):
    """The running nodes."""

    nodes: Sequence[NodeFacts]


class AccountCall(msgspec.Struct, kw_only=True):
    """A live call and its account."""

    account_id: str
    call: CallView


class FleetCalls(msgspec.Struct, kw_only=True):
    """Live calls of all nodes, the newest first."""

    calls: Sequence[AccountCall]
    more: int
    """How many calls were left out, because their node has too many."""
    silent_nodes: Sequence[str]
    """Nodes that did not answer: their calls are missing."""


class LogLevelRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of `…/log-level`."""

    level: LogLevel
    """`setting`: restores the node's configured level at once."""
    minutes: LevelMinutes = LEVEL_MINUTES
    """Until the node logs at its configured level again."""
    reason: Reason


class FleetCallsAsked(msgspec.Struct, kw_only=True):
    """Which calls to list."""

    account: str | None = None
    """Id of the account; left out or empty for all."""


@dataclass(frozen=True, slots=True)
class FleetApi:
    """Handlers of nodes and of all accounts' live calls."""

    routing: AdminRoutes
    control: FleetControl
    finder: CallFinder
    acts: Administration

    def routes(self) -> list[DeclaredRoute]:
        """Return the resources' routes."""
        return self.routing.serve(self)

    @operation(f"GET {NODES}", Scope.ADMIN, Nodes, gives={"node": "/nodes/0/node"})
    async def list_nodes(self, _request: Request, _principal: Principal) -> Response:
        """Return the running nodes.

        With what each reports about itself, such as how many calls it has and how late its loop
        was.
        """
        return Json(Nodes(nodes=self.control.roster.nodes()))

    @operation(f"POST {NODES}/{{node}}/drain", Scope.ADMIN, problems=_TELLING)
    async def drain_node(self, request: Request, _principal: Principal) -> Response:
        """Drain a node: it takes no new calls.

        It takes none until it is resumed or restarted.
        """
        return await self._set_taking(request, takes=False)

    @operation(f"POST {NODES}/{{node}}/resume", Scope.ADMIN, problems=_TELLING)
    async def resume_node(self, request: Request, _principal: Principal) -> Response:
        """Let a node take new calls again."""
        return await self._set_taking(request, takes=True)

    @operation(
        f"POST {NODES}/{{node}}/log-level",
        Scope.ADMIN,
        body=LogLevelRequest,
        problems=("node_not_found", "node_silent"),
    )
    async def set_node_log_level(self, request: Request, principal: Principal) -> Response:
        """Change the log level of a node for a while.

        After that, and after a restart, it logs at its configured level. The audit log keeps the
        reason.
        """
        node = request.path_params["node"]
        body = await read_json(request, LogLevelRequest)
        order = order_of(principal, body.reason)
        said = level_said(body.level, body.minutes)
        try:
            self.control.require(node)
            # Written first: whatever happens next, it is known who wanted it.
            await self.acts.note_log_level(node, said, order)
            await self.control.set_log_level(node, body.level, body.minutes)
        except LookupError:
            raise RequestRefusedError("node_not_found") from None
        except NodeSilentError:
            raise RequestRefusedError("node_silent") from None
        return Response(status_code=204)

    @operation(
        f"GET {CALLS}",
        Scope.ADMIN,
        FleetCalls,
        query=FleetCallsAsked,
        gives={"call_id": "/calls/0/call/id"},
    )
    async def list_all_live_calls(self, request: Request, _principal: Principal) -> Response:
        """Return the live calls of all nodes, or of one account.

        The newest first.
        """
        found = await self.control.calls(account_id=request.query_params.get("account") or None)
        calls = [
            AccountCall(account_id=call.opened.account_id, call=live_view(call))
            for call in found.calls
        ]
        return Json(FleetCalls(calls=calls, more=found.more, silent_nodes=found.silent))

    @operation(
        f"POST {CALLS}/{{call_id}}/end",
        Scope.ADMIN,
        status=202,
        body=ActRequest,
        problems=("call_not_found", "call_ended", "node_silent"),
    )
    async def end_any_call(self, request: Request, principal: Principal) -> Response:
        """End a live call, for a reason that is recorded in its account's audit log."""
        body = await read_json(request, ActRequest)
        order = order_of(principal, body.reason)
        call = await self.finder.find(request)
        # Written first: whatever happens next, it is known who wanted it.
        await self.acts.note_ended_call(call.opened.account_id, call.opened.call_id, order)
        try:
            await self.control.end(call)
        except NodeSilentError:
            raise RequestRefusedError("node_silent") from None
        return Response(status_code=202)

    async def _set_taking(self, request: Request, *, takes: bool) -> Response:
        try:
            await self.control.take_calls(request.path_params["node"], takes=takes)
        except LookupError:
            raise RequestRefusedError("node_not_found") from None
        except NodeStoppingError:
            raise RequestRefusedError("node_stopping") from None
        except NodeSilentError:
            raise RequestRefusedError("node_silent") from None
        return Response(status_code=204)
