"""Defines the call detail record: what is kept of a call. Metadata only, never audio.

A record is written once, when the call has ended, and travels as JSON through the spend gate's
outbox into the book of record.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from billing.call_feedback import Feedback

EndedBy = Literal["caller", "callee", "carrier", "credit", "limit", "operator", "gateway"]


class LegQuality(msgspec.Struct, frozen=True, kw_only=True):
    """What one leg carried, how much of it was speech, and its quality.

    The browser leg's voice is the caller's as the phone hears it; the carrier leg's is the phone's
    as the caller hears it. A figure that was not measured is null.
    """

    frames_in: int = 0
    frames_out: int = 0
    frames_dropped: int = 0
    """Discarded because the peer did not read, or because they came too late to be played."""
    talk_ms: int = 0
    silence_ms: int = 0
    paths: tuple[str, ...] = ()
    """Media paths of the browser leg, `webrtc` or `websocket`, in order of first use."""
    packets_lost: int = 0
    loss_percent: float = 0.0
    """Of the packets sent to us or, on the carrier leg, to the browser."""
    jitter_ms: float | None = None
    """Interarrival jitter (RFC 3550), averaged over the seconds of the call."""
    jitter_ms_max: float | None = None
    rtt_ms: float | None = None
    """Round trip between the leg's far end and us, averaged over the seconds of the call."""
    concealed_ms: int = 0
    """Audio synthesised in place of what did not arrive in time."""
    backlog_ms_max: int = 0
    """The largest backlog of audio."""
    level_dbov: int | None = None
    """Mean power of the seconds that were not silent, -127 to 0 dBov (RFC 6464)."""
    mos: float | None = None
    """Conversational quality, 1 to 4.5 (ITU-T G.107), averaged over the seconds of the call."""
    mos_min: float | None = None


class CallOpened(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call when its first hold is placed."""

    call_id: str
    account_id: str
    node: str
    destination: str
    """E.164, with its plus sign."""
    country: str
    """ISO 3166 code of the destination; empty for a number of no country."""
    codec: str
    origin: str
    """Origin of the calling page; empty for programs."""
    currency: str
    rate: str
    """The rate of this call, as written by `Rate.to_json`."""
    created_at: datetime
    key_id: str = ""
    """The key that the call was placed with; empty for none."""


class CallClosed(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call once it has ended."""

    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime
    seconds: int
    """Charged seconds."""
    cause: int
    """Q.850 cause value, or one of ours above 127."""
    cause_name: str
    ended_by: EndedBy
    carrier_call_id: str = ""
    carrier_seconds: int | None = None
    """Duration by the carrier's account; None until it has reported one."""
    carrier_code: int | None = None
    """The carrier's error code where it has refused the call; for the operator only."""
    carrier_text: str | None = None
    """The carrier's own words, which name no number; for the operator only."""
    browser: LegQuality = LegQuality()
    carrier: LegQuality = LegQuality()


def in_brief(closed: bytes) -> bytes:
    """Return a `CallClosed` in JSON without the legs' figures: a fifth of the length."""
    # The spend gate keeps this in memory for a day, for each call. No money depends on the legs'
    # figures.
    fields = msgspec.json.decode(closed)
    legs = ("browser", "carrier")
    # None is the default of every field that can be None, so that nothing is lost by leaving it
    # out.
    return msgspec.json.encode({k: v for k, v in fields.items() if k not in legs and v is not None})


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call as its account holder sees it."""

    opened: CallOpened
    closed: CallClosed | None
    """None until the end of the call is booked."""
    cost_micros: int
    """The charge; until the end is booked, the price of the seconds used so far, never the hold."""
    written_off_micros: int = 0
    used_s: int = 0
    """Seconds used, as far as they are booked."""
    answered_at: datetime | None = None
    """Of a call whose end is not booked: when the phone was answered, by its first seconds."""
    feedback: Feedback | None = None
    """What the caller has said of it."""
