"""Detects that the carrier cannot reach this node, by the calls that the node has placed.

A carrier that can reach the public origin reports a call as soon as it dials, and opens the media
stream as soon as the phone is answered. If nothing has arrived for any call since a call was
placed, although the carrier's own record shows that it dialled, the origin cannot be reached: the
phone would ring, and be answered, with no one on the line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.call.carrier_status import TERMINAL, CarrierState, CarrierStatus

UNREACHED_NS: Final = 8_000_000_000
"""How long the first callback of a placed call may take: two attempts by the carrier, each
abandoned after four seconds, as its adapter requests."""
PROBED_NS: Final = 30_000_000_000
"""How long the result of probing the public origin is reused."""
PERIOD_NS: Final = 60_000_000_000
"""Shortest time between two warnings."""

HINT: Final = (
    "Check CALLER_PUBLIC_ORIGIN, its DNS name, the firewall, the proxy and the certificate;"
    " `caller check` looks at the origin."
)

_SOUND: Final = "From this machine the public origin answers."
_UNKNOWN: Final = "The public origin could not be looked at from this machine."

Probe = Callable[[], Awaitable[str]]
"""Probes the public origin from here; returns what is wrong with it, empty if nothing is."""

_RINGING: Final = frozenset({CarrierState.DIALLING, CarrierState.RINGING})
_ANSWERED: Final = frozenset({CarrierState.ANSWERED, CarrierState.COMPLETED})
_FAILED: Final = TERMINAL - _ANSWERED

_log = structlog.get_logger(__name__)


async def not_looked_at() -> str:
    """Replace the probe where the origin is not probed."""
    return ""


class Reachability:
    """When the carrier last reached one node, and whether it can."""

    def __init__(
        self,
        clock_ns: Callable[[], int],
        probe: Probe = not_looked_at,
        *,
        read_ns: Callable[[], int] | None = None,
    ) -> None:
        """`read_ns` returns until when all that has arrived has been read; None for now."""
        self.clock_ns = clock_ns
        self._read_ns = read_ns or clock_ns
        self._probe = probe
        self._reached_ns = -1
        self._probing: asyncio.Future[str | None] | None = None
        self._probed_ns = 0
        self._warned_ns = -PERIOD_NS
        self._untold = 0

    def reached(self) -> None:
        """Note that something signed by the carrier has arrived."""
        self._reached_ns = self.clock_ns()

    def is_silent_since(self, at_ns: int) -> bool:
        """Whether nothing has arrived since then."""
        return self._reached_ns < at_ns

    async def is_cut_off(self, status: CarrierStatus, ordered_ns: int, placed_ns: int) -> bool:
        """Whether the carrier cannot report a call to us, judged by its own record of the call.

        A call that was not answered keeps its own cause; the operator is still warned.

        Args:
            status: The carrier's record.
            ordered_ns: Monotonic time before the carrier was asked to place the call.
            placed_ns: When it had accepted the call.

        """
        # Anything signed, for any call, proves that the origin is reachable: a callback that was
        # lost by itself says nothing against it.
        if not self.is_silent_since(ordered_ns):
            return False
        # Judged by what has been read: after a standstill the callbacks may still be in a socket.
        is_late = self._read_ns() - placed_ns >= UNREACHED_NS
        is_answered = status.state in _ANSWERED
        # A call still running is asked about again; one that is over never is, so this is the last
        # chance to tell the operator.
        if not status.is_terminal and not (is_late and (is_answered or status.state in _RINGING)):
            return False
        fault = await self._look()
        # If the origin is sound, a phone that rings may still be answered and its stream arrive,
        # and one that was answered may have been hung up before that.
        is_cut_off = (is_answered and is_late) or (bool(fault) and status.state not in _FAILED)
        # Asked again: a callback may have arrived during the probe.
        if not self.is_silent_since(ordered_ns) or not (is_cut_off or status.is_terminal):
            return False
        self._warn(fault)
        return is_cut_off

    async def _look(self) -> str | None:
        """Return what is wrong with the origin, None if that is unknown.

        Concurrent callers share one probe.
        """
        now_ns = self.clock_ns()
        if self._probing is None or now_ns - self._probed_ns >= PROBED_NS:
            self._probed_ns = now_ns
            self._probing = asyncio.ensure_future(self._found())
        # A call that is cancelled while it waits must not cancel the probe for the others.
        return await asyncio.shield(self._probing)

    async def _found(self) -> str | None:
        try:
            return await self._probe()
        except Exception:
            # A failed probe says nothing about the origin; the calls that asked continue.
            _log.exception("public origin not looked at")
            return None

    def _warn(self, fault: str | None) -> None:
        self._untold += 1
        now_ns = self.clock_ns()
        # Every call fails while the origin is away: one line a minute, with their number.
        if now_ns - self._warned_ns < PERIOD_NS:
            return
        _log.warning(
            "the carrier does not reach this gateway",
            calls=self._untold,
            found=_UNKNOWN if fault is None else fault or _SOUND,
            hint=HINT,
        )
        self._warned_ns, self._untold = now_ns, 0
