"""Defines the call detail record: what is stored of a call. Metadata only, never audio.

A record is written once, when the call has ended, and travels as JSON through the spend gate's
outbox into the book of record. `FIGURES` is the table of its figures: SQL columns, booking,
retention, the API, webhooks, CSV, pages and the data map follow from it (docs/design/0028). A
`CallFilter` selects records.

A call that is forgotten loses whom it reached, from where, and how it sounded. Its times become
those that the ledger shows anyway: the date of the booking, and before it the seconds that were
charged. So the audit can still compute its charge, and forgetting a call twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec

from billing.call_feedback import Feedback
from billing.figures import Figure, Shown, Unit, figures_of

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
    node: Annotated[str, Figure(Unit.TEXT, is_of_operation=True)]
    destination: Annotated[str, Figure(Unit.TEXT)]
    """E.164, with its plus sign."""
    country: Annotated[str, Figure(Unit.TEXT)]
    """ISO 3166 code of the destination; empty for a number of no country."""
    codec: Annotated[str, Figure(Unit.TEXT)]
    origin: Annotated[str, Figure(Unit.TEXT)]
    """Origin of the calling page; empty for programs."""
    currency: str
    rate: str
    """The rate of this call, as written by `Rate.to_json`."""
    created_at: Annotated[datetime, Figure(Unit.TIME)]
    key_id: str = ""
    """The key that the call was placed with; empty for none."""


class CallClosed(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call once it has ended.

    A figure that is None by default is measured: a new one takes its line here, and no other
    place names it but the one that measures it.
    """

    ringing_at: Annotated[datetime | None, Figure(Unit.TIME)] = None
    answered_at: Annotated[datetime | None, Figure(Unit.TIME)] = None
    ended_at: Annotated[datetime, Figure(Unit.TIME)]
    seconds: int
    """Charged seconds."""
    cause: int
    """Q.850 cause value, or one of ours above 127."""
    cause_name: Annotated[str, Figure(Unit.TEXT)]
    ended_by: EndedBy
    carrier_call_id: Annotated[str, Figure(Unit.TEXT)] = ""
    carrier_seconds: Annotated[int | None, Figure(Unit.SECONDS, Shown.API, 60)] = None
    """Duration by the carrier's account; None until it has reported one."""
    carrier_code: Annotated[
        int | None, Figure(Unit.COUNT, is_withheld=True, is_of_operation=True)
    ] = None
    """The carrier's error code where it has refused the call; for the operator only."""
    carrier_text: Annotated[
        str | None, Figure(Unit.TEXT, is_withheld=True, is_of_operation=True)
    ] = None
    """The carrier's own words, which name no number; for the operator only."""
    browser: Annotated[LegQuality, Figure(Unit.TEXT, column="browser_quality")] = LegQuality()
    carrier: Annotated[LegQuality, Figure(Unit.TEXT, column="carrier_quality")] = LegQuality()


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
    feedback: Annotated[Feedback | None, Figure(Unit.TEXT)] = None
    """What the caller has said of it."""


_ENDING: Final = figures_of(CallClosed)
MEASURED: Final = tuple(figure for figure in _ENDING.values() if figure.is_measured)
"""Figures that are measured by the end of a call, and are None where they were not."""
FIGURES: Final = (
    *figures_of(CallOpened).values(),
    *_ENDING.values(),
    *figures_of(CallRecord).values(),
)
"""All figures of a call record, each with its own column of the table `calls`."""
FOR_MONEY: Final[Mapping[str, str]] = {
    "id": "the name of the call, which its transfers have too",
    "account_id": "who pays",
    "opened": "whether the beginning is booked",
    "closed": "whether the end is booked",
    "currency": "what it is paid in",
    "rate": "what the charge follows from",
    "seconds": "what the charge follows from",
    "spent_micros": "the hold, then the charge",
    "written_off_micros": "what no credit was left for",
    "booked_at": "the date of the transfers",
    "key_id": "the key whose caps it counts under",
    "cause": "what a refund follows from",
    "ended_by": "what a refund follows from",
    "forgotten_at": "since when the figures are gone",
}
"""The other columns of the table `calls`, each with what the money needs it for."""


def shown_in(place: Shown) -> tuple[Figure, ...]:
    """Return the measured figures that appear somewhere by themselves, in order."""
    return tuple(figure for figure in MEASURED if place in figure.shown)


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Conditions on a call, all of which must hold; a field that is left out matches any call."""

    since: datetime | None = None
    """Begun then or later."""
    until: datetime | None = None
    """Begun before that."""
    digits: str = ""
    """Part of the number: ASCII digits."""
    answered: bool | None = None
    """Of ended calls: whether the callee picked up."""
    causes: frozenset[int] = frozenset()
    """One of these causes ended it."""
    ended_by: EndedBy | None = None


ANY_CALL: Final = CallFilter()

_OPENING_LEFT: Final[Mapping[str, Any]] = dict.fromkeys(
    ("node", "destination", "country", "codec", "origin"), ""
)
_ENDING_LEFT: Final[Mapping[str, Any]] = {"cause_name": "", "carrier_call_id": ""}
# The moment of the answer is one of the times that are left.
_MEASURED: Final = tuple(figure for figure in MEASURED if figure.name != "answered_at")
BLANKS: Final[Mapping[str, Any]] = {
    **_OPENING_LEFT,
    **_ENDING_LEFT,
    **{figure.column: figure.to_column(None) for figure in _MEASURED},
    # The figures of no leg are a record that can be read.
    "browser_quality": "{}",
    "carrier_quality": "{}",
    "feedback": "",
}
"""Column of the call's row -> what is there once it is forgotten; the times are in `TimesLeft`."""


@dataclass(frozen=True, slots=True)
class TimesLeft:
    """The times of a forgotten call."""

    created_at: datetime
    answered_at: datetime | None
    """None for a call that was charged no second."""
    ended_at: datetime


def times_left(ended_at: datetime, booked_at: datetime | None, seconds: int) -> TimesLeft:
    """Return the times that remain of an ended call once it is forgotten.

    Args:
        ended_at: When it ended, by its own record.
        booked_at: The date of its transfers; None for calls of before it was kept.
        seconds: Charged ones.

    """
    end = booked_at or ended_at
    began = end - timedelta(seconds=seconds)
    return TimesLeft(began, began if seconds else None, end)


def opening_left(times: TimesLeft) -> Mapping[str, Any]:
    """Return what is left of a call's opening, by the names of `CallOpened` that change."""
    return {**_OPENING_LEFT, "created_at": times.created_at}


def memory_left(opened: CallOpened, closed: CallClosed, times: TimesLeft) -> tuple[bytes, bytes]:
    """Return what a spend gate is to remember of a call: its opening, and its end in brief."""
    beginning: CallOpened = msgspec.structs.replace(opened, **opening_left(times))
    end: CallClosed = msgspec.structs.replace(
        closed,
        **_ENDING_LEFT,
        **{figure.name: None for figure in _MEASURED},
        answered_at=times.answered_at,
        ended_at=times.ended_at,
    )
    return msgspec.json.encode(beginning), in_brief(msgspec.json.encode(end))
