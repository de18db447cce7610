"""Takes the snapshot of a call that other rooms and other processes see."""

from __future__ import annotations

from gateway.calls.bridge import Bridge
from gateway.ports import LiveCall


def live_view(call: Bridge) -> LiveCall:
    """Return a call as it stands."""
    seconds, cost_micros = call.used()
    return LiveCall(
        opened=call.opened,
        answered_at=call.answered_at,
        ended_at=call.ended_at,
        seconds=seconds,
        cost_micros=cost_micros,
        unused_micros=call.unused_micros,
        carrier_call_id=call.call.carrier_call_id,
        cause=call.call.cause,
        ended_by=call.call.ended_by,
    )
