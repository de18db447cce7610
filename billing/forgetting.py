"""Says what is left of a call that is forgotten: what its charge follows from, and no more.

Who was called, from where and how it sounded goes. Its times become those that the ledger shows
anyway: the date of the booking, and before it the seconds that were charged. So the audit computes
its charge like any other, and a call that is forgotten twice is the same as one forgotten once.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from billing.cdr import MEASURED, CallClosed, CallOpened, in_brief

_OPENING: Final[Mapping[str, Any]] = dict.fromkeys(
    ("node", "destination", "country", "codec", "origin"), ""
)
_ENDING: Final[Mapping[str, Any]] = {"cause_name": "", "carrier_call_id": ""}
# The moment of the answer is one of the times that are left.
_MEASURED: Final = tuple(figure for figure in MEASURED if figure.name != "answered_at")
BLANKS: Final[Mapping[str, Any]] = {
    **_OPENING,
    **_ENDING,
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
    """Return the times that are left of an ended call of so many charged seconds.

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
    return {**_OPENING, "created_at": times.created_at}


def memory_left(opened: CallOpened, closed: CallClosed, times: TimesLeft) -> tuple[bytes, bytes]:
    """Return what a spend gate is to remember of a call: its opening, and its end in brief."""
    beginning: CallOpened = msgspec.structs.replace(opened, **opening_left(times))
    end: CallClosed = msgspec.structs.replace(
        closed,
        **_ENDING,
        **{figure.name: None for figure in _MEASURED},
        answered_at=times.answered_at,
        ended_at=times.ended_at,
    )
    return msgspec.json.encode(beginning), in_brief(msgspec.json.encode(end))
