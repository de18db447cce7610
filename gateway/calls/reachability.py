"""Whether what the carrier sends reaches this node, judged by the calls it has placed.

A carrier that can reach the public origin reports a call as soon as it dials, and opens the media
stream as soon as the phone is answered. Where nothing has come since a call was placed, of any
call, although the carrier's own record shows that it dialled, the origin cannot be reached: the
phone would ring, and be answered, for nobody. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.call.carrier_status import TERMINAL, CarrierState, CarrierStatus

UNREACHED_NS: Final = 8_000_000_000
"""How long the first callback of a placed call may take: two attempts of the carrier's, each given
up after four seconds, as its adapter asks for."""
PROBED_NS: Final = 30_000_000_000
"""How long the outcome of a look at the public origin holds."""
PERIOD_NS: Final = 60_000_000_000
"""Time between two warnings."""

HINT: Final = (
    "Check CALLER_PUBLIC_ORIGIN, its DNS name, the firewall, the proxy and the certificate;"
    " `caller check` looks at the origin."
)

Probe = Callable[[], Awaitable[str]]
"""Looks at the public origin from here; returns what is wrong with it, or nothing."""

_RINGING: Final = frozenset({CarrierState.DIALLING, CarrierState.RINGING})
_ANSWERED: Final = frozenset({CarrierState.ANSWERED, CarrierState.COMPLETED})
_FAILED: Final = TERMINAL - _ANSWERED

_log = structlog.get_logger(__name__)


async def not_looked_at() -> str:
    """Nobody looks at the origin."""
    return ""


class Reachability:
    """What has reached one node of what the carrier sends."""

    def __init__(
        self,
        clock_ns: Callable[[], int],
        probe: Probe = not_looked_at,
        *,
        read_ns: Callable[[], int] | None = None,
    ) -> None:
        """`read_ns` returns until when all that has come has been read; None for now."""
        self.clock_ns = clock_ns
        self._read_ns = read_ns or clock_ns
        self._probe = probe
        self._reached_ns = -1
        self._probing: asyncio.Future[str] | None = None
        self._probed_ns = 0
        self._warned_ns = -PERIOD_NS
        self._untold = 0

    def reached(self) -> None:
        """Note that something signed by the carrier has come."""
        self._reached_ns = self.clock_ns()

    def is_silent_since(self, at_ns: int) -> bool:
        """Whether nothing has come since then."""
        return self._reached_ns < at_ns

    async def is_cut_off(self, status: CarrierStatus, ordered_ns: int, placed_ns: int) -> bool:
        """Whether a call cannot be heard of, by what the carrier's record says of it.

        A call of another outcome than an answer keeps its own cause; the operator is warned all the
        same.

        Args:
            status: What the carrier's record says.
            ordered_ns: Before the carrier was asked to place the call.
            placed_ns: When it had taken the call.

        """
        if not self.is_silent_since(ordered_ns):
            return False
        is_late = self._read_ns() - placed_ns >= UNREACHED_NS
        is_answered = status.state in _ANSWERED
        if not status.is_terminal and not (is_late and (is_answered or status.state in _RINGING)):
            return False
        fault = await self._look()
        # A phone that rings may be answered yet and its stream come, and one that was answered may
        # have been hung up before that, if the origin is sound.
        is_cut_off = (is_answered and is_late) or (bool(fault) and status.state not in _FAILED)
        if not self.is_silent_since(ordered_ns) or not (is_cut_off or status.is_terminal):
            return False
        self._warn(fault)
        return is_cut_off

    async def _look(self) -> str:
        """Return what is wrong with the origin; all who ask at once share one look."""
        now_ns = self.clock_ns()
        if self._probing is None or now_ns - self._probed_ns >= PROBED_NS:
            self._probed_ns = now_ns
            self._probing = asyncio.ensure_future(self._probe())
        return await asyncio.shield(self._probing)

    def _warn(self, fault: str) -> None:
        self._untold += 1
        now_ns = self.clock_ns()
        if now_ns - self._warned_ns < PERIOD_NS:
            return
        _log.warning(
            "the carrier does not reach this gateway",
            calls=self._untold,
            found=fault or "From this machine the public origin answers.",
            hint=HINT,
        )
        self._warned_ns, self._untold = now_ns, 0
