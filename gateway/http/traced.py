"""Middleware that begins a call's trace with the request for its token."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.calls.traced_tokens import REQUEST
from gateway.http.access import DeclaredRoute
from gateway.logs import call_events
from gateway.telemetry.spans import TOKEN, VISITOR_TOKEN
from gateway.telemetry.tracer import RequestTrace, Tracer

_PATH: Final = TOKEN.partition(" ")[2]
_VISITOR_START, _VISITOR_END = VISITOR_TOKEN.partition(" ")[2].split("{key}")
_TRACEPARENT: Final = b"traceparent"


class Traced:
    """Middleware: traces requests for a call token, if the tracer samples them."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = self._request(scope)

        async def send_and_note(message: Message) -> None:
            if request is not None and message["type"] == "http.response.start":
                route = scope.get("route")
                if isinstance(route, DeclaredRoute):
                    request.answered(route.path, message["status"])
            await send(message)

        # Set even without a trace: the server begins a queued request in the context of the
        # previous one.
        of_request = REQUEST.set(request)
        of_refusal = call_events.ON_REFUSAL.set(None if request is None else request.refused)
        try:
            await self._app(scope, receive, send if request is None else send_and_note)
        finally:
            call_events.ON_REFUSAL.reset(of_refusal)
            REQUEST.reset(of_request)

    def _request(self, scope: Scope) -> RequestTrace | None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        path = scope["path"]
        if path == _PATH:
            return self._tracer.request(_given(scope), TOKEN)
        if path.startswith(_VISITOR_START) and path.endswith(_VISITOR_END):
            # A visitor's own trace is not continued: any page may claim anything.
            return self._tracer.request((), VISITOR_TOKEN)
        return None


def _given(scope: Scope) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == _TRACEPARENT]
