"""Liveness, readiness and the figures an operator asks for first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.engine.calls import Calls
from gateway.engine.ticker import Ticker
from gateway.http.problems import Json

_CHECK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Health:
    """Handlers of the probes."""

    calls: Calls
    ticker: Ticker
    checks: Mapping[str, Callable[[], Awaitable[object]]]
    """What must answer for the node to take calls, by name."""

    def routes(self) -> list[Route]:
        """Return the probes' routes."""
        return [
            Route("/healthz", self.live, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def live(self, _request: Request) -> Response:
        """Say that the process serves; it must not be restarted while a store is away."""
        return Json(
            {
                "status": "ok",
                "calls": len(self.calls),
                "loop_lag_ms_max": round(self.ticker.take_lag_ns() / 1e6, 3),
            }
        )

    async def ready(self, _request: Request) -> Response:
        """Say whether new calls can be taken, and what is missing."""
        found = {name: await _state(check) for name, check in self.checks.items()}
        found["calls"] = "draining" if self.calls.is_draining else "ok"
        is_ready = all(state == "ok" for state in found.values())
        return Json({"status": "ok" if is_ready else "unready", **found}, 200 if is_ready else 503)


async def _state(check: Callable[[], Awaitable[object]]) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check()
    except Exception:
        return "unreachable"
    return "ok"
