"""What one peer may send: frames beyond its budget are dropped, and a flood ends the connection.

Knows no frame's content. The socket that derives from it says what has arrived, and how it fails.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from websockets.frames import CloseCode

from gateway.limits.frame_budget import FLOODED, FrameBudget
from gateway.nanoseconds import SECOND_NS
from gateway.sockets.counters import EngineCounters
from gateway.sockets.direct import DirectReader
from gateway.sockets.limits import MediaLimits
from gateway.sockets.send_side import Phase, SendSide

log = structlog.get_logger(__name__)


class ReceiveBounds(SendSide):
    """Counts what comes, by whichever way it is read."""

    __slots__ = (
        "_budget",
        "_discarded",
        "_reader",
        "_reads_directly",
        "_window_count",
        "_window_ns",
    )

    def __init__(
        self,
        limits: MediaLimits,
        clock_ns: Callable[[], int],
        engine_counters: EngineCounters,
        reader: DirectReader,
    ) -> None:
        super().__init__(limits, clock_ns, engine_counters)
        self._reader = reader
        self._reads_directly = False
        self._budget = FrameBudget(limits.frames, reader.standstill)
        self._discarded = 0
        self._window_ns = self._window_count = 0

    def frames_dropped(self, count: int, is_flooded: bool, /) -> None:
        """Count frames that the peer was not to send; end the connection if it sends on."""
        self._engine_counters.excess_frames += count
        if is_flooded:
            self._end_flood("frame budget exceeded")

    def _spend(self, frames: int) -> int:
        """Count frames that have arrived. While the direct reader counts, it counts these too."""
        if self._reads_directly:
            return self._reader.spend(self._descriptor, frames)
        return self._budget.spend(self._clock_ns(), frames)

    def _is_taken(self, frames: int) -> bool:
        """Count frames that have arrived; if they are too many drop them, or end the connection."""
        verdict = self._spend(frames)
        if verdict:
            self.frames_dropped(1, verdict == FLOODED)
        return not verdict

    def _has_many_idle(self, now_ns: int) -> bool:
        """Count one frame that carries nothing; tell whether this second has had too many."""
        if now_ns - self._window_ns >= SECOND_NS:
            self._window_ns = now_ns
            self._window_count = 0
        self._window_count += 1
        return self._window_count > self._limits.control_frames_max_per_s

    def _end_flood(self, reason: str) -> None:
        """Fail the connection, and read nothing more of it: it may send on until it is aborted."""
        if self._phase < Phase.DRAINING:
            self._engine_counters.floods += 1
            log.warning("media peer flooded, closed", peer=self.peer, reason=reason)
            self._fail(CloseCode.POLICY_VIOLATION, reason)
            self._discard(self._limits.discarded_bytes_max + 1)

    def _discard(self, size: int) -> None:
        """Count what is read in vain; a peer that sends on is not read until it is aborted."""
        self._discarded += size
        if self._discarded > self._limits.discarded_bytes_max and not self._transport.is_closing():
            self._transport.pause_reading()

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Fail the connection (RFC 6455, 7.1.7)."""
        raise NotImplementedError
