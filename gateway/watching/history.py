"""Defines the summary of all calls that is stored for each minute of a day. Pure.

Figures of all calls together, nothing personal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from gateway.watching.totals import Totals

MINUTES_KEPT: Final = 1440
"""A day."""


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """All calls at the end of a minute; None where there was nothing to measure."""

    at: datetime
    calls: int
    begun: int
    """Within the minute."""
    spend_micros_per_minute: dict[str, int]
    asr_percent: float | None
    acd_s: float | None
    pdd_ms: int | None
    rtt_p95_ms: int | None
    mos: float | None
    talk_percent: float | None


def minute_of(totals: Totals, at: datetime) -> Minute:
    """Return the minute that has just ended."""
    return Minute(
        at=at.replace(second=0, microsecond=0),
        calls=totals.calls,
        begun=totals.begun_per_minute,
        spend_micros_per_minute=totals.spend_micros_per_minute,
        asr_percent=totals.asr_percent,
        acd_s=totals.acd_s,
        pdd_ms=totals.pdd_ms,
        rtt_p95_ms=totals.rtt_p95_ms,
        mos=totals.mos,
        talk_percent=totals.talk_percent,
    )
