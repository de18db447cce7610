"""Liveness, readiness and the figures an operator asks for first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.engine.calls import Calls
from gateway.engine.ticker import Ticker
from gateway.http.problems import Json

_CHECK_TIMEOUT_S = 2.0

Check = Callable[[], Awaitable[object]]
"""Returns when a store answers; raises when it does not."""


@dataclass(frozen=True, slots=True)
class Health:
    """Handlers of the probes."""

    calls: Calls
    ticker: Ticker
    checks: Mapping[str, Check]
    """What must answer for the node to take calls, by name."""
    weaknesses: Mapping[str, Check] = field(default_factory=dict)
    """What calls go on without for a while."""
    alarms: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """Name -> whether its alarm is raised."""
    figures: Mapping[str, Callable[[], float]] = field(default_factory=dict)
    """Name, with its unit -> a figure that both probes show."""

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
                **self._figures(),
            }
        )

    async def ready(self, _request: Request) -> Response:
        """Say whether new calls can be taken, and what is missing.

        A degraded node takes calls: sending them all elsewhere would help nobody when what is
        missing is missing everywhere.
        """
        needed = {name: await _state(check) for name, check in self.checks.items()}
        weak = {name: await _state(check) for name, check in self.weaknesses.items()}
        weak |= {name: "alarm" if is_raised() else "ok" for name, is_raised in self.alarms.items()}
        needed["calls"] = "draining" if self.calls.is_draining else "ok"
        is_ready = all(state == "ok" for state in needed.values())
        is_whole = all(state == "ok" for state in weak.values())
        status = ("ok" if is_whole else "degraded") if is_ready else "unready"
        said = {"status": status, **needed, **weak, **self._figures()}
        return Json(said, 200 if is_ready else 503)

    def _figures(self) -> dict[str, float]:
        return {name: round(figure(), 1) for name, figure in self.figures.items()}


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check()
    except Exception:
        return "unreachable"
    return "ok"
