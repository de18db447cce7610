"""Defines what nodes report about their calls, and what viewers get of it. Pure.

One row is the complete state of a call: a reader who missed one knows everything with the next.
Times are in UTC, money is integer micros of the row's currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from gateway.unreadable import UNREADABLE

BATCH_BYTES_MAX: Final = 1 << 20
"""A longer message is not a batch."""
ROWS_MAX: Final = 500
"""Rows of a batch that are accepted."""
COUNTED_BYTES_MAX: Final = (16 << 10) - 1
"""Per message. Valkey 9 does not count messages of 16 KiB and more in what it buffers for a
listener: a stuck listener would never be cut off, and take all its memory (valkey issue 2396)."""
WARNINGS_MAX: Final = 64
"""Warnings per batch; if there are more, the newest are sent."""

# Anyone who may write to the store may write anything: figures that are rounded, summed and sent on
# are kept within bounds, and times must be comparable.
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Whole = Annotated[int, msgspec.Meta(ge=-(10**14), le=10**14)]
_Figure = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
_Name = Annotated[str, msgspec.Meta(max_length=128)]
_Prefix = Annotated[str, msgspec.Meta(max_length=16)]
_Origin = Annotated[str, msgspec.Meta(max_length=256)]

CallState = Literal["connecting", "ringing", "answered", "held", "ending", "ended", "lost"]
LIVE: Final = frozenset({"connecting", "ringing", "answered", "held", "ending"})
"""States of calls that are counted."""
TALKING: Final = frozenset({"answered", "held"})

Tag = Literal["silence", "high_jitter", "high_latency", "high_pdd", "high_packet_loss"]
"""What is wrong with a call, in the terms of Twilio's Voice Insights."""


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call, live or just ended."""

    id: _Name
    node: _Name
    account_id: _Name
    key_id: _Name
    destination: _Name
    """E.164."""
    country: _Name
    prefix: _Prefix = ""
    """Prefix that prices it in the rate deck, such as +4915; empty for a call without a price."""
    origin: _Origin
    state: CallState
    created_at: _Time
    ringing_at: _Time | None = None
    answered_at: _Time | None = None
    ended_at: _Time | None = None
    seconds: _Whole = 0
    """Charged so far."""
    cost_micros: _Whole = 0
    """The price of those seconds."""
    currency: _Name = ""
    per_minute_micros: _Whole = 0
    cause: _Whole | None = None
    """Q.850, or one of ours above 127; None while it is live."""
    cause_name: _Name = ""
    ended_by: _Name = ""
    carrier_code: _Whole | None = None
    """The carrier's own, if it refused or failed the call; shown to operators only."""
    path: _Name = ""
    """`webrtc` or `websocket`; empty before the legs are joined."""
    pdd_ms: _Whole | None = None
    """Post-dial delay: from the request until the carrier first reports that the phone rings."""
    mos: _Figure | None = None
    """Of the worse direction, 1 to 4.5 (ITU-T G.107)."""
    rtt_ms: _Figure | None = None
    """Between browser and gateway."""
    jitter_ms: _Figure | None = None
    """Of the worse direction."""
    loss_percent: _Figure | None = None
    """Of the worse direction."""
    tags: tuple[Tag, ...] = ()


def for_its_account(row: CallRow) -> CallRow:
    """Return a call as its account sees it, without what concerns the operator's carrier."""
    return row if row.carrier_code is None else msgspec.structs.replace(row, carrier_code=None)


class Sound(msgspec.Struct, frozen=True, array_like=True):
    """How one second of a call sounded, in addition to its row. Sent as an array."""

    caller_dbov: int
    phone_dbov: int
    backlog_ms: int
    """Audio waiting to be played, in the direction that has more of it."""


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a process's log, warning or worse: its fixed words, and the call it is about."""

    at: _Time
    node: _Name
    level: Literal["warning", "error"]
    event: _Origin
    call_id: _Name = ""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One report of a process."""

    node: _Name
    """For a process that holds no calls: its kind."""
    calls: Sequence[CallRow] = ()
    sounds: dict[str, Sound] = {}
    """By call id, for those of `calls` in which people talk."""
    warnings: Sequence[Warned] = ()


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A node as viewers see it."""

    node: str
    calls: int
    calls_max: int
    is_draining: bool
    lag_ms: float
    """The longest delay of its loop in the last one to two minutes."""
    release: str
    started_at: str
    is_lost: bool = False
    log_level: str = ""
    """From which level it logs; empty if its release does not say."""
    log_level_until: str | None = None
    """RFC 3339: until when that differs from the node's setting."""


ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Batch)


def encode(batch: Batch) -> bytes:
    """Return an encoded batch."""
    return ENCODER.encode(batch)


def decode(text: bytes) -> Batch:
    """Return a decoded batch. Raises ValueError for anything else."""
    if len(text) > BATCH_BYTES_MAX:
        raise ValueError("longer than a batch may be")
    try:
        batch = _DECODER.decode(text)
    except UNREADABLE as error:
        raise ValueError("no batch") from error
    if len(batch.calls) > ROWS_MAX or len(batch.warnings) > WARNINGS_MAX:
        raise ValueError("more than a batch may hold")
    return batch
