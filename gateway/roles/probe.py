"""Listens in the gateway's place for a moment, so that the way to it can be tried before a start.

Answers one random path below the node's own, where the carrier's sockets are, and passes a proxy's
health checks where no gateway runs. Everything else is refused.
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
    """What to ask for, and what is answered there."""

    path: str
    instance: str


@contextlib.asynccontextmanager
async def listening(settings: Settings, *, is_alone: bool) -> AsyncIterator[Probe | None]:
    """Listen on the settings' host and port inside the block; None where that is not possible.

    Another gateway may run there, or the port may be closed to us: `preflight.ports` tells. Unless
    it `is_alone`, health checks are not passed: a proxy would send visitors here instead of there.
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
        # No gateway's answer: who asks for one must not take this for it.
        return web.json_response({"status": "checking"})

    async def refuse(_request: web.Request) -> web.Response:
        # As a proxy says while no gateway runs.
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
    # Port 0 is any: nobody knows where to ask.
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
