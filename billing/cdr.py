"""The call detail record: what is kept of a call. Metadata only, never audio.

Knows no store. A record is written once, when the call has ended, and travels as JSON through the
spend gate's outbox into the book of record.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

EndedBy = Literal["caller", "callee", "carrier", "credit", "limit", "operator", "gateway"]


class LegQuality(msgspec.Struct, frozen=True, kw_only=True):
    """What one leg carried, how much of it was speech, and how well its voice came through.

    The browser leg's voice is the caller's as the phone hears it; the carrier leg's is the phone's
    as the caller hears it. None is a figure that nobody measured.
    """

    frames_in: int = 0
    frames_out: int = 0
    frames_dropped: int = 0
    """Frames discarded because the peer did not read, or because they came too late to play."""
    talk_ms: int = 0
    silence_ms: int = 0
    paths: tuple[str, ...] = ()
    """How the browser leg's audio travelled, `webrtc` or `websocket`, in the order of first use."""
    packets_lost: int = 0
    loss_percent: float = 0.0
    """Of the packets sent to us or, on the carrier leg, to the browser."""
    jitter_ms: float | None = None
    """Interarrival jitter (RFC 3550), the mean of the call's seconds."""
    jitter_ms_max: float | None = None
    rtt_ms: float | None = None
    """Round trip between the leg's far end and us, the mean of the call's seconds."""
    concealed_ms: int = 0
    """Audio that was invented in place of what did not come in time."""
    backlog_ms_max: int = 0
    """The most audio that waited to be heard."""
    level_dbov: int | None = None
    """Mean power of the seconds that had sound, -127 to 0 dBov (RFC 6464)."""
    mos: float | None = None
    """Conversational quality, 1 to 4.5 (ITU-T G.107), the mean of the call's seconds."""
    mos_min: float | None = None


class CallOpened(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call when its first hold is placed."""

    call_id: str
    account_id: str
    node: str
    destination: str
    """E.164, with its plus sign."""
    country: str
    """ISO 3166 of the destination, empty where a number belongs to none."""
    codec: str
    origin: str
    """Origin of the page that called, empty for programs."""
    currency: str
    rate: str
    """The rate that holds for this call, as `Rate.to_json` wrote it."""
    created_at: datetime
    key_id: str = ""
    """The API or embed key that the call was bought with, empty for none."""


class CallClosed(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call once it has ended."""

    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime
    seconds: int
    """Charged seconds."""
    cause: int
    """Q.850 cause value, or an own value above 127."""
    cause_name: str
    ended_by: EndedBy
    carrier_call_id: str = ""
    carrier_seconds: int | None = None
    """What the carrier says it carried; None while it has not said."""
    browser: LegQuality = LegQuality()
    carrier: LegQuality = LegQuality()


def in_brief(closed: bytes) -> bytes:
    """Return a `CallClosed` in JSON without what is measured of the legs: a fifth of its length."""
    fields = msgspec.json.decode(closed)
    legs = ("browser", "carrier")
    return msgspec.json.encode({k: v for k, v in fields.items() if k not in legs and v is not None})


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call as its account holder reads it."""

    opened: CallOpened
    closed: CallClosed | None
    """None until the end of the call is booked."""
    cost_micros: int
    """What the call was charged; until its end is booked, the price of the seconds it has used,
    never what is held for it."""
    written_off_micros: int = 0
    used_s: int = 0
    """Seconds used, as far as is booked."""
