"""Serves `/metrics`, and counts the requests of the application by route."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import AdminRoutes
from gateway.http.principal import Principal

PATH: Final = "/metrics"
WAITS_S: Final = (0.005, 0.02, 0.1, 0.5, 2.0)
OTHER: Final = "other"
"""Any URL without a route: scanners try endless ones."""


class RequestMeter:
    """Counts requests and how long they take, by route, method and class of status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "caller_http_request_seconds",
            "From a request's head to its answer's, by route.",
            ["route", "method", "status"],
            buckets=WAITS_S,
            registry=registry,
        )

    def note(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._seconds.labels(route, method, f"{status // 100}xx").observe(seconds)


class Metered:
    """Middleware: notes the head of each answer."""

    def __init__(self, app: ASGIApp, meter: RequestMeter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                path = route.path if isinstance(route, DeclaredRoute) else OTHER
                method = scope["method"] if path != OTHER else OTHER
                self._meter.note(path, method, message["status"], time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, send_and_note)


def metrics_routes(
    routing: AdminRoutes, registry: CollectorRegistry, node: str
) -> list[DeclaredRoute]:
    """Return the routes of the figures, for keys of scope admin.

    A node's are at its own path as well, because behind a shared port it has no other.
    """

    async def scrape(_request: Request, _principal: Principal) -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    paths = (PATH, f"/n/{node}{PATH}") if node else (PATH,)
    return [routing.route(path, scrape) for path in paths]
