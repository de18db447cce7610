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
