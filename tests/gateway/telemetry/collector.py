"""A collector that reads OTLP by the protocol's own definitions, and may also hang or refuse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE_S = 60.0


@dataclass
class Received:
    """A span as the collector has read it."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    events: list[tuple[str, int]]
    error: str
    resource: Mapping[str, Any]


def values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def read(body: bytes) -> list[Received]:
    """Return the spans of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Received(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            kind=span.kind,
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            attributes=values(span.attributes),
            events=[(event.name, event.time_unix_nano) for event in span.events],
            error=span.status.message if span.status.code == 2 else "",
            resource=values(whole.resource.attributes),
        )
        for whole in request.resource_spans
        for scope in whole.scope_spans
        for span in scope.spans
    ]


@dataclass
class Collector:
    """A real HTTP server at `/v1/traces`."""

    url: str = ""
    status: int = 200
    hangs: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    """Of its answers."""
    asked: list[Mapping[str, str]] = field(default_factory=list)
    """Headers of the requests."""
    bodies: list[bytes] = field(default_factory=list)
    """Those that were taken."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append(request.headers)
        self._news.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.status == 200:
            self.bodies.append(body)
            return web.Response(body=ExportTraceServiceResponse().SerializeToString())
        return web.Response(status=self.status, headers=self.headers)

    @property
    def spans(self) -> list[Received]:
        return [span for body in self.bodies for span in read(body)]

    async def wait_for(self, *, spans: int = 0, asked: int = 0) -> None:
        """Return once so many spans, and requests, have come."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.spans) < spans or len(self.asked) < asked:
                self._news.clear()
                # The body is kept after the news of its request.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.05)


@contextlib.asynccontextmanager
async def collecting(**state: Any) -> AsyncIterator[Collector]:
    """Serve a collector."""
    collector = Collector(**state)
    app = web.Application()
    app.router.add_post("/v1/traces", collector.handle)
    # One that hangs must not keep the test from its end.
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()
