"""Listens briefly in the gateway's place, so that the way to it can be tested before a start.

Answers one random path below the node's own, where the carrier's sockets are, and answers a proxy's
health checks if no gateway runs. Everything else is refused.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.sockets import tls


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask for, and the answer expected there."""

    path: str
    instance: str


@contextlib.asynccontextmanager
async def listening(settings: Settings, *, is_alone: bool) -> AsyncIterator[Probe | None]:
    """Listen on the settings' host and port inside the block; None if that is not possible.

    Another gateway may run there, or the port may not be available to us: `preflight.ports` reports
    that. Unless it `is_alone`, health checks fail: a proxy would send visitors here.
    """
    instance = secrets.token_hex(16)
    probe = Probe(f"/n/{settings.node}/media/probe-{instance}", instance)

    async def answer(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=1.0)
        if not socket.can_prepare(request):
            return web.json_response({"instance": instance})
        await socket.prepare(request)
        await socket.send_str(instance)
        await socket.close()
        return socket

    async def is_well(_request: web.Request) -> web.Response:
        # Unlike a gateway's answer, so that it cannot be mistaken for one.
        return web.json_response({"status": "checking"})

    async def refuse(_request: web.Request) -> web.Response:
        # As a proxy answers while no gateway runs.
        return web.Response(status=503, headers={"Retry-After": "10"})

    app = web.Application()
    app.router.add_get(probe.path, answer)
    if is_alone:
        app.router.add_get("/healthz", is_well)
        app.router.add_get("/readyz", is_well)
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        yield probe if await _is_started(runner, settings) else None
    finally:
        await runner.cleanup()


async def _is_started(runner: web.AppRunner, settings: Settings) -> bool:
    # Port 0 means any, so there is no known port to ask.
    if not settings.port:
        return False
    try:
        context = (
            tls.load(Path(settings.tls_certificate), Path(settings.tls_key))
            if settings.tls_certificate
            else None
        )
        await web.TCPSite(runner, settings.host, settings.port, ssl_context=context).start()
    except (GatewayError, OSError):
        return False
    return True
