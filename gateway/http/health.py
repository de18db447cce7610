"""Answers the probes: liveness, and readiness, whose details an operator's key may see.

Takes the stores that must answer as checks by name.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from database.errors import StoreFullError, StoreRightError, StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.fleet.instances import NONCE, NONCE_PATTERN, PROOF, proof_of
from gateway.heartbeat.ticker import Ticker
from gateway.http.access import DeclaredRoute, public
from gateway.http.problems import Json
from gateway.ports import NodeLoad

_CHECK_TIMEOUT_S = 2.0
_FRESH_NS = 1_000_000_000
"""Age up to which a result is reused: the probes are public, and anyone may call them."""

Check = Callable[[], Awaitable[object]]
"""Returns when a store answers; raises when it does not."""
Admit = Callable[[Request], Awaitable[object]]
"""Returns for a request with an operator's key. Raises RequestRefusedError for others, and
StoreUnavailableError where that cannot be found out."""

_VERBOSE = "verbose"
_NO_KEY = "unauthorized"


class _Latest:
    """The latest results of the checks, shared by all requests; they run one at a time."""

    def __init__(self) -> None:
        self._found: Mapping[str, str] = {}
        self._found_ns: int | None = None
        self._looking: asyncio.Task[None] | None = None

    async def states(
        self, checks: Mapping[str, Check], clock_ns: Callable[[], int]
    ) -> Mapping[str, str]:
        """Return the state of each check, at most a second old."""
        if self._looking is None and not self._is_fresh(clock_ns()):
            self._looking = asyncio.create_task(self._look(checks, clock_ns))
        if self._looking is not None:
            # A client that disconnects cancels only its own request, not the look that others
            # share.
            await asyncio.shield(self._looking)
        return self._found

    def _is_fresh(self, now_ns: int) -> bool:
        return self._found_ns is not None and now_ns - self._found_ns < _FRESH_NS

    async def _look(self, checks: Mapping[str, Check], clock_ns: Callable[[], int]) -> None:
        try:
            found = await asyncio.gather(*map(_state, checks.values()))
            self._found, self._found_ns = dict(zip(checks, found, strict=True)), clock_ns()
        finally:
            self._looking = None


@dataclass(frozen=True, slots=True)
class HealthProbes:
    """Handlers of the probes."""

    calls: NodeLoad
    ticker: Ticker
    admit: Admit
    """Judges who may see details."""
    checks: Mapping[str, Check]
    """What must answer for the node to take calls, by name."""
    weaknesses: Mapping[str, Check] = field(default_factory=dict)
    """What calls can do without for a while, by name."""
    alarms: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """Name -> whether its alarm is raised."""
    figures: Mapping[str, Callable[[], float]] = field(default_factory=dict)
    """Name, with its unit -> a figure that is shown with the details."""
    instance: str = ""
    """This process's name for itself: `caller check` asks whether it is the one that answers."""
    _latest: _Latest = field(default_factory=_Latest, init=False, repr=False)

    def routes(self) -> list[DeclaredRoute]:
        """Return the probes' routes."""
        return [
            public("/healthz", self.live),
            public("/readyz", self.ready),
        ]

    async def live(self, request: Request) -> Response:
        """Report that the process serves; it must not be restarted while a store is unavailable.

        Nothing more is public: figures are at `/metrics`. Someone who knows the process's name for
        itself can ask whether it is the one that answers.
        """
        said = {"status": "ok"}
        nonce = request.query_params.get(NONCE, "")
        if re.fullmatch(NONCE_PATTERN, nonce):
            said[PROOF] = proof_of(self.instance, nonce)
        return Json(said)

    async def ready(self, request: Request) -> Response:
        """Report whether new calls can be taken; with `?verbose`, tell operators what is missing.

        No one else gets details, because what is missing helps attackers. The status is the same
        for all: a probe with a wrong key must not take a node out of service. A degraded node takes
        calls: sending them elsewhere would not help if the same is missing
        everywhere.
        """
        checks = {**self.checks, **self.weaknesses}
        states = await self._latest.states(checks, self.ticker.clock_ns)
        needed = {name: states[name] for name in self.checks}
        # Unready while draining, so that balancers stop sending calls that would be refused.
        needed["calls"] = "draining" if self.calls.is_draining else "ok"
        is_ready = all(state == "ok" for state in needed.values())
        said: dict[str, object] = {"status": "ok" if is_ready else "unready"}
        if _VERBOSE in request.query_params:
            refusal = await self._refusal(request)
            said |= {"details": refusal} if refusal else self._details(needed, states, is_ready)
        return Json(said, 200 if is_ready else 503)

    def _details(
        self, needed: Mapping[str, str], states: Mapping[str, str], is_ready: bool
    ) -> dict[str, object]:
        weak = {name: states[name] for name in self.weaknesses}
        weak |= {name: "alarm" if is_raised() else "ok" for name, is_raised in self.alarms.items()}
        is_whole = all(state == "ok" for state in weak.values())
        status = ("ok" if is_whole else "degraded") if is_ready else "unready"
        figures = {name: round(figure(), 1) for name, figure in self.figures.items()}
        return {"status": status, **needed, **weak, **figures}

    async def _refusal(self, request: Request) -> str:
        """Return the code of why no details are given; empty for an operator."""
        # Without a key nothing is asked of a store: anybody may call the probe.
        if "authorization" not in request.headers:
            return _NO_KEY
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await self.admit(request)
        except RequestRefusedError as error:
            return error.code
        except (StoreUnavailableError, TimeoutError):
            return StoreUnavailableError.code
        return ""


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check()
    except StoreFullError:
        return "disk full"
    except StoreRightError as error:
        return f"lacks {' '.join(error.rules)}"
    except Exception:
        # Without the driver's message, which may contain hosts and passwords.
        return "unreachable"
    return "ok"
