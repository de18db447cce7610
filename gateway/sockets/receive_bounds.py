"""Bounds what one peer may send, and how long it may be silent.

Frames in all, frames without content and bytes after the end are bounded; a silent peer is pinged,
and aborted if nothing arrives (RFC 6455, 5.5.2). Anything that arrives counts as the answer to a
ping. The socket reports what has arrived, and acts on the verdict.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from gateway.limits.frame_budget import FrameBudget
from gateway.nanoseconds import SECOND_NS
from gateway.sockets.direct import DirectReading
from gateway.sockets.limits import MediaLimits


class ReceiveBounds:
    """Counts what comes from one peer, by whichever way it is read."""

    __slots__ = (
        "_budget",
        "_clock_ns",
        "_limits",
        "_reading",
        "_window_count",
        "_window_ns",
        "discarded",
    )

    def __init__(
        self, limits: MediaLimits, clock_ns: Callable[[], int], reading: DirectReading
    ) -> None:
        self._limits = limits
        self._clock_ns = clock_ns
        self._reading = reading
        self._budget: FrameBudget | None = None
        """Of what the direct reader does not count; made with the first frame of that."""
        self._window_ns = self._window_count = 0
        self.discarded = 0
        """Bytes read and thrown away."""

    def spend(self, frames: int) -> int:
        """Count frames that have arrived: TAKEN, DROPPED, or FLOODED as in `FrameBudget`.

        While the direct reader counts, it counts these too.
        """
        # The poller keeps buckets of its own in the socket's slot. Frames that it passes on must be
        # taken from those, or a peer that mixes frames of both kinds would have two budgets.
        if self._reading.is_on:
            return self._reading.spend(frames)
        if self._budget is None:
            self._budget = FrameBudget(self._limits.frames, self._reading.standstill)
        return self._budget.spend(self._clock_ns(), frames)

    def has_many_idle(self, now_ns: int) -> bool:
        """Count one frame that carries nothing; tell whether this second has had too many."""
        # A pong or an empty frame costs a turn through the library and brings nothing, so far
        # fewer of them are allowed than of frames in all.
        if now_ns - self._window_ns >= SECOND_NS:
            self._window_ns = now_ns
            self._window_count = 0
        self._window_count += 1
        return self._window_count > self._limits.control_frames_max_per_s

    def discard(self, size: int) -> bool:
        """Count bytes that go nowhere; tell whether to read no more of this peer."""
        # Reading on for a while keeps our last words safe: unread input would reset the connection
        # (RFC 9112, 9.6). A peer that only sends is then not read, so that TCP holds it back until
        # the sweep aborts it.
        self.discarded += size
        return self.discarded > self._limits.discarded_bytes_max


class Due(enum.Enum):
    """What a peer's silence asks for."""

    NOTHING = "nothing"
    PING = "ping"
    ABORT = "abort"


def due_now(limits: MediaLimits, now_ns: int, arrived_ns: int, pinged_ns: int) -> Due:
    """Return what is due.

    Args:
        limits: How long a peer may be silent.
        now_ns: Now.
        arrived_ns: When the peer last sent anything at all.
        pinged_ns: When it was last pinged; 0 for never.

    """
    # Nothing has come since the ping. There is no state to reset: any arrival makes this false.
    if pinged_ns > arrived_ns:
        return Due.ABORT if now_ns - pinged_ns >= limits.pong_timeout_ns else Due.NOTHING
    return Due.NOTHING if now_ns - arrived_ns < limits.ping_interval_ns else Due.PING
