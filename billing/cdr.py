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
    """What one leg carried and how much of it was speech."""

    frames_in: int = 0
    frames_out: int = 0
    frames_dropped: int = 0
    """Frames discarded because the peer did not read, or because they came too late to play."""
    talk_ms: int = 0
    silence_ms: int = 0


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


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call as its account holder reads it."""

    opened: CallOpened
    closed: CallClosed | None
    """None while the call lives."""
    cost_micros: int
    written_off_micros: int = 0
