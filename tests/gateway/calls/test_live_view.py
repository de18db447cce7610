"""A call as others see it: nothing of it is held back, and what is held is no cost."""

from gateway.calls.live_view import live_view
from gateway.cause import Cause
from tests.gateway.calls.test_live import Node


async def test_a_call_is_seen_as_it_stands(stage):
    node = Node(stage)
    await node.starts()
    call = node.bridge
    ringing = live_view(call)
    assert (ringing.opened, ringing.answered_at, ringing.ended_at) == (call.opened, None, None)
    assert (ringing.seconds, ringing.cost_micros, ringing.cause) == (0, 0, None)
    assert ringing.unused_micros == call.charge.unused_micros > 0
    node.begins_stream()
    await stage.run(3)
    talking = live_view(call)
    assert (talking.answered_at, talking.carrier_call_id) == (
        call.wall.date(call.call.answered_ns),
        "CA1",
    )
    assert (talking.seconds, talking.cost_micros) == call.used()
    call.end(Cause.MANAGER_REQUEST, "operator")
    ended = live_view(call)
    assert (ended.cause, ended.ended_by) == (Cause.MANAGER_REQUEST, "operator")
    assert ended.ended_at is not None
