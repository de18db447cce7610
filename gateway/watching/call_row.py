"""Builds the row of a call for live viewers, with how its last second sounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.call.machine import TALKING, State
from gateway.calls.bridge import Bridge
from gateway.watching.rows import CallRow, CallState, Sound, Tag

PDD_MS_MAX: Final = 11_000
"""Post-dial delay that 95 of 100 international calls should not exceed (ITU-T E.721, normal load).
"""
_STATES: Final[Mapping[State, CallState]] = {
    State.NEW: "connecting",
    State.FUNDING: "connecting",
    State.CANCELLING: "ending",
    State.DIALLING: "connecting",
    State.RINGING: "ringing",
    State.ANSWERED: "answered",
    State.ON_HOLD: "held",
    State.ENDING: "ending",
    State.SETTLING: "ending",
    State.SETTLED: "ended",
}
_TAGS: Final[Mapping[str, Tag]] = {
    "high-rtt": "high_latency",
    "high-delay": "high_latency",
    "high-jitter": "high_jitter",
    "high-packet-loss": "high_packet_loss",
    "high-packets-lost-fraction": "high_packet_loss",
    "constant-audio-input-level": "silence",
    "no-audio-from-phone": "silence",
    "no-audio-from-browser": "silence",
}
"""An active line warning -> its name."""


def row_of(bridge: Bridge) -> tuple[CallRow, Sound | None]:
    """Return a call's row; no sound for a call in which no one can talk.

    Nor for one whose holder objects to figures on how their calls sound.
    """
    call, opened, date = bridge.call, bridge.opened, bridge.wall.date_or_none
    seconds, cost_micros = bridge.used()
    created_at, ringing_at = opened.created_at, date(call.ringing_ns)
    answered_at = date(call.answered_ns)
    progressed_at = ringing_at or answered_at
    pdd_ms = None
    if progressed_at is not None:
        pdd_ms = round((progressed_at - created_at).total_seconds() * 1000)
    is_heard = call.state in TALKING and bridge.order.keeps_quality
    sample = bridge.media.line.last if bridge.order.keeps_quality else None
    tags = {_TAGS[name] for name in bridge.media.line.standing() if name in _TAGS and is_heard}
    if pdd_ms is not None and pdd_ms > PDD_MS_MAX:
        tags.add("high_pdd")
    row = CallRow(
        id=opened.call_id,
        node=opened.node,
        account_id=opened.account_id,
        key_id=opened.key_id,
        destination=opened.destination,
        country=opened.country,
        prefix=bridge.order.prefix,
        origin=opened.origin,
        state=_STATES[call.state],
        created_at=created_at,
        ringing_at=ringing_at,
        answered_at=answered_at,
        ended_at=date(call.ended_ns),
        seconds=seconds,
        cost_micros=cost_micros,
        currency=opened.currency,
        per_minute_micros=bridge.charge.rate.per_minute_micros,
        cause=call.cause,
        cause_name="" if call.cause is None else call.cause.name,
        ended_by="" if call.cause is None else call.ended_by,
        # 0 means that the carrier gave no code.
        carrier_code=(call.carrier_refusal.code or None) if call.carrier_refusal else None,
        path="" if sample is None else sample.path,
        pdd_ms=pdd_ms,
        mos=None if sample is None else min(sample.browser.mos, sample.carrier.mos),
        rtt_ms=None if sample is None else sample.rtt_ms,
        jitter_ms=None
        if sample is None
        else max(sample.browser.jitter_ms, sample.carrier.jitter_ms),
        loss_percent=None
        if sample is None
        else max(sample.browser.loss_percent, sample.carrier.loss_percent),
        tags=tuple(sorted(tags)),
    )
    if sample is None or not is_heard:
        return row, None
    backlog_ms = max(sample.browser.backlog_ms, sample.carrier.backlog_ms)
    sound = Sound(sample.browser.level_dbov, sample.carrier.level_dbov, round(backlog_ms))
    return row, sound
