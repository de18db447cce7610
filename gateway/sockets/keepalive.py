"""Decides when to ping a silent peer, and when to give it up (RFC 6455, 5.5.2). Pure.

Anything that arrives counts as the answer to a ping: it proves that the peer lives.
"""

from __future__ import annotations

import enum

from gateway.sockets.limits import MediaLimits


class Due(enum.Enum):
    """What a peer's silence asks for."""

    NOTHING = "nothing"
    PING = "ping"
    ABORT = "abort"


class Keepalive:
    """The silence of one peer."""

    __slots__ = ("_limits", "_pinged_ns")

    def __init__(self, limits: MediaLimits) -> None:
        self._limits = limits
        self._pinged_ns = 0

    def look(self, now_ns: int, arrived_ns: int) -> Due:
        """Return what is due; `arrived_ns` is when the peer last sent anything at all."""
        # Nothing has come since the ping. There is no state to reset: any arrival makes this false.
        if self._pinged_ns > arrived_ns:
            is_gone = now_ns - self._pinged_ns >= self._limits.pong_timeout_ns
            return Due.ABORT if is_gone else Due.NOTHING
        if now_ns - arrived_ns < self._limits.ping_interval_ns:
            return Due.NOTHING
        self._pinged_ns = now_ns
        return Due.PING
