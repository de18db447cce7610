"""Middleware that begins the trace of a call with the request for its token."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.calls.traced_tokens import REQUEST
from gateway.http.access import DeclaredRoute
from gateway.logs import call_events
from gateway.telemetry.spans import TOKEN, VISITOR_TOKEN
from gateway.telemetry.tracer import Tracer

_PATH: Final = TOKEN.partition(" ")[2]
_VISITOR_START, _VISITOR_END = VISITOR_TOKEN.partition(" ")[2].split("{key}")
_TRACEPARENT: Final = b"traceparent"


class Traced:
    """Middleware: traces what asks for a call token, as far as the tracer wants it."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = None
        if scope["type"] == "http" and scope["method"] == "POST":
            path = scope["path"]
            if path == _PATH:
                request = self._tracer.request(_given(scope), TOKEN)
            elif path.startswith(_VISITOR_START) and path.endswith(_VISITOR_END):
                # A visitor is nobody whose trace could go on here: any page may say anything.
                request = self._tracer.request((), VISITOR_TOKEN)
        if request is None:
            await self._app(scope, receive, send)
            return

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                if isinstance(route, DeclaredRoute):
                    request.answered(route.path, message["status"])
            await send(message)

        of_request = REQUEST.set(request)
        of_refusal = call_events.ON_REFUSAL.set(request.refused)
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            call_events.ON_REFUSAL.reset(of_refusal)
            REQUEST.reset(of_request)


def _given(scope: Scope) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == _TRACEPARENT]
