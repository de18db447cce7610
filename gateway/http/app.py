"""Creates the HTTP application: its routes, and the one error table applied to all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.errors import BillingError
from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.http import problems
from gateway.http.access import DeclaredRoute
from gateway.http.metrics import Metered, RequestMeter
from gateway.http.operation import PREFIX, ApiRoute
from gateway.http.traced import Traced
from gateway.ports import ANSWER_FIELDS
from gateway.telemetry.tracer import Tracer

log = structlog.get_logger(__name__)

_FIELDS: Final = [(name.lower().encode(), value.encode()) for name, value in ANSWER_FIELDS.items()]


ShowMissing = Callable[[Request], Awaitable[Response]]
"""Returns the page for a person who requests a page that does not exist."""


def create_app(
    routes: Iterable[DeclaredRoute],
    *,
    show_missing: ShowMissing | None = None,
    meter: RequestMeter | None = None,
    tracer: Tracer | None = None,
) -> Starlette:
    """Return the application that serves these routes, and counts requests with `meter`.

    With a `tracer` requests for call tokens begin traces.

    `show_missing` answers browsers; without it they get JSON, as programs do. Raises TypeError for
    a route that does not declare who may use it, and for one of the API that does not declare its
    request and response.
    """
    served = list(routes)
    for route in served:
        # At start and not per request: a plain route would be open to anyone.
        if not isinstance(route, DeclaredRoute):
            raise TypeError(f"{route} does not declare who may use it")
        if route.path.startswith(PREFIX) and not isinstance(route, ApiRoute):
            raise TypeError(f"{route} declares no operation")
    app = Starlette(
        routes=served,
        middleware=[
            *([] if meter is None else [Middleware(Metered, meter=meter)]),
            *([] if tracer is None else [Middleware(Traced, tracer=tracer)]),
            Middleware(Outermost),
        ],
        exception_handlers={
            RequestRefusedError: problems.on_refusal,
            BillingError: problems.on_failure,
            StoreUnavailableError: problems.on_failure,
            HTTPException: _on_http_error(show_missing),
        },
    )
    # Its redirects would use the Host header of the request.
    app.router.redirect_slashes = False
    return app


def _on_http_error(
    show_missing: ShowMissing | None,
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        allowed: dict[str, str] = {}
        if status == 405:
            # Each route has one method: the router reports only those of the first route at this
            # path.
            allowed = {"Allow": ", ".join(_methods_at(request))}
            error = HTTPException(405, headers=allowed)
        # A URL that only takes forms has no page to show.
        is_missing = status in (404, 405)
        if show_missing is not None and is_missing and _wants_page(request):
            page = await show_missing(request)
            page.status_code = status
            page.headers.update(allowed)
            return page
        return await problems.on_http_error(request, error)

    return answer


def _methods_at(request: Request) -> list[str]:
    routes: list[DeclaredRoute] = request.app.routes
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in found for method in route.methods or ()})


def _wants_page(request: Request) -> bool:
    """Return whether a browser navigates to a URL: programs do not ask for HTML."""
    is_page = request.method in ("GET", "HEAD") and not request.url.path.startswith(PREFIX)
    return is_page and "text/html" in request.headers.get("accept", "")


class Outermost:
    """What applies to every request: headers of its answer, and how it ends when it fails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Once the status line is sent, no other answer is possible.
        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                given = {name.lower() for name, _ in message["headers"]}
                added = [header for header in _FIELDS if header[0] not in given]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            # Debug level and no traceback: anyone can cause this, as often as they like.
            log.debug("request broken off")
        except Exception:
            if has_started:
                # The server logs it, and closes the connection: a partial answer is worthless.
                raise
            log.exception("request failed")
            await problems.problem("internal_error")(scope, receive, send_with_headers)
