"""Stores the last samples of one call in as little memory as possible. Pure.

An operator who opens a call sees how it got there, so the samples of every call are stored, and
there may be thousands of calls: packed, two minutes take 3 KB.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from struct import Struct
from typing import Final

import msgspec

from gateway.watching.rows import CallRow, Sound

KEPT: Final = 120
"""Samples of one call, of which there is one a second."""
_PACKED: Final = Struct("<IBHHHbbHIq")
_UNKNOWN: Final = 0xFFFF
_NO_MOS: Final = 0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a call."""

    at: datetime
    mos: float | None
    rtt_ms: float | None
    jitter_ms: float | None
    loss_percent: float | None
    caller_dbov: int
    phone_dbov: int
    backlog_ms: int
    seconds: int
    cost_micros: int


class Samples:
    """The last samples of a call, oldest first."""

    __slots__ = ("_since", "_texts", "count")

    def __init__(self, since: datetime) -> None:
        self._since = since
        self._texts = bytearray()
        self.count = 0
        """How many there have been, including dropped ones."""

    def add(self, at: datetime, row: CallRow, sound: Sound) -> None:
        """Add one; drop the oldest if there are too many."""
        self._texts += _PACKED.pack(
            _within((at - self._since) // timedelta(milliseconds=1), 0xFFFFFFFF),
            _NO_MOS if row.mos is None else _within(row.mos * 50, 0xFF),
            *(_tenths(value) for value in (row.rtt_ms, row.jitter_ms, row.loss_percent)),
            _level(sound.caller_dbov),
            _level(sound.phone_dbov),
            _within(sound.backlog_ms, 0xFFFF),
            _within(row.seconds, 0xFFFFFFFF),
            max(-(1 << 63), min(row.cost_micros, (1 << 63) - 1)),
        )
        self.count += 1
        del self._texts[: -KEPT * _PACKED.size]

    def after(self, count: int) -> list[Sample]:
        """Return those after the first `count`, as far as they are still stored."""
        kept = len(self._texts) // _PACKED.size
        skipped = max(0, kept - (self.count - count))
        return [self._sample(text) for text in _PACKED.iter_unpack(self._texts)][skipped:]

    def _sample(self, values: tuple[int, ...]) -> Sample:
        millis, mos, rtt, jitter, loss, caller, phone, backlog, seconds, cost = values
        return Sample(
            at=self._since + timedelta(milliseconds=millis),
            mos=None if mos == _NO_MOS else mos / 50,
            rtt_ms=_of_tenths(rtt),
            jitter_ms=_of_tenths(jitter),
            loss_percent=_of_tenths(loss),
            caller_dbov=caller,
            phone_dbov=phone,
            backlog_ms=backlog,
            seconds=seconds,
            cost_micros=cost,
        )


def _within(value: float, most: int) -> int:
    return max(0, min(round(value), most))


def _level(dbov: int) -> int:
    return max(-127, min(dbov, 0))


def _tenths(value: float | None) -> int:
    return _UNKNOWN if value is None else _within(value * 10, _UNKNOWN - 1)


def _of_tenths(value: int) -> float | None:
    return None if value == _UNKNOWN else value / 10
