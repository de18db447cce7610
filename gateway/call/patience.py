"""Decides when to end a call that no one answers or whose media has gone silent. Pure."""

from __future__ import annotations

from typing import Final

from gateway.call.machine import TALKING, Call, Ended, State
from gateway.cause import Cause
from gateway.nanoseconds import SECOND_NS
from gateway.settings import Settings

DIAL_MARGIN_NS: Final = 30 * SECOND_NS
"""Twilio may ring five seconds longer than asked, and may queue a call before that."""


def overdue(
    call: Call, settings: Settings, dialled_ns: int, heard_ns: int | None, read_ns: int
) -> tuple[Ended, int] | None:
    """Return how and when an overdue call ends; None if the call is not overdue.

    A call that was heard ends at its last sound: the seconds after it were of no use to anyone.

    Args:
        call: The call.
        settings: How long is too long.
        dialled_ns: When the carrier was asked for it.
        heard_ns: When the phone was last heard, None where no stream has begun.
        read_ns: Until when all that arrived has been read; monotonic, like the others.

    """
    if call.state in (State.DIALLING, State.RINGING):
        if read_ns > dialled_ns + settings.ring_timeout_s * SECOND_NS + DIAL_MARGIN_NS:
            return Ended(Cause.NO_ANSWER, "limit"), read_ns
    elif call.state in TALKING:
        # Before the stream begins nothing can be heard, and silence takes longer to count as a
        # fault.
        allowed_s = settings.stream_timeout_s if heard_ns is None else settings.media_silence_s
        since_ns = call.answered_ns if heard_ns is None else heard_ns
        if read_ns > (since_ns or read_ns) + allowed_s * SECOND_NS:
            return Ended(Cause.MEDIA_TIMEOUT, "carrier"), heard_ns or read_ns
    return None
