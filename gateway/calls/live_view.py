"""Takes the snapshot of a call that other rooms and other processes see."""

from __future__ import annotations

from gateway.calls.bridge import Bridge
from gateway.ports import LiveCall


def live_view(call: Bridge) -> LiveCall:
    """Return a call as it stands."""
    seconds, cost_micros = call.used()
    date = call.wall.date_or_none
    return LiveCall(
        opened=call.opened,
        answered_at=date(call.call.answered_ns),
        ended_at=date(call.call.ended_ns),
        seconds=seconds,
        cost_micros=cost_micros,
        unused_micros=call.charge.unused_micros,
        carrier_call_id=call.call.carrier_call_id,
        cause=call.call.cause,
        ended_by=call.call.ended_by,
    )
