"""The trace of a whole call, from its token to its settlement, to the nanosecond."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.calls.traced_tokens import REQUEST, TracedTokens
from gateway.telemetry import spans
from gateway.telemetry.otlp import Encoder
from gateway.telemetry.spans import ATTRIBUTES, EVENTS, SPANS, TraceSpan
from gateway.telemetry.tracer import Tracer
from simulators.carrier.faults import FaultPlan, RestFault
from tests.gateway.telemetry.collector import Received, read
from tests.whole_calls.world import World

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NUMBER = "+15005551009"
EPOCH_NS = 1_800_000_000 * 10**9


class TracedWorld(World):
    """A world whose calls are traced; the web's part is played by `asks`."""

    def _compose(self) -> None:
        self.ended: list[TraceSpan] = []
        self.tracer = Tracer(
            self.ended.append,
            ratio=1.0,
            clock_ns=self.loop.clock_ns,
            unix_ns=lambda: EPOCH_NS + self.loop.clock_ns(),
        )
        self.tokens: Any = TracedTokens(self.tokens, self.tracer)
        super()._compose()

    async def asks(self) -> None:
        """Dial as who has asked for a token in a trace of their own."""
        request = self.tracer.request((CLIENT,), spans.TOKEN)
        assert request is not None
        of_request = REQUEST.set(request)
        try:
            await self.dials(NUMBER)
        finally:
            REQUEST.reset(of_request)
        request.answered("/v1/call-tokens", 201)

    def received(self) -> dict[str, Received]:
        """Return what a collector reads, by name; no span has come twice."""
        body = Encoder({"service.name": "caller"})(self.ended)
        for needle in (NUMBER, NUMBER[1:], "alice", self.settings.caller_id):
            assert needle.encode() not in body
        found = {span.name: span for span in read(body)}
        assert len(found) == len(self.ended)
        return found


@pytest.fixture
def traced_of(world_of, monkeypatch):
    monkeypatch.setattr("tests.whole_calls.conftest.World", TracedWorld)
    return world_of


def assert_documented(found: dict[str, Received]) -> None:
    for name, span in found.items():
        assert span.attributes.keys() <= {*SPANS[name].attributes} <= ATTRIBUTES.keys()
        assert {event for event, _ in span.events} <= EVENTS.keys()


def assert_one_trace(found: dict[str, Received]) -> None:
    """Assert that the client's trace has the token's span, that one the call, and that the rest."""
    token, call = found[spans.TOKEN], found[spans.CALL]
    assert {span.trace_id for span in found.values()} == {CLIENT[3:35]}
    assert token.parent_id == CLIENT[36:52]
    assert call.parent_id == token.span_id
    for name, span in found.items():
        if name not in {spans.TOKEN, spans.CALL}:
            assert span.parent_id == call.span_id
            assert call.start_ns <= span.start_ns <= span.end_ns <= call.end_ns


async def test_a_call_is_one_trace(traced_of):
    world = await traced_of()
    await world.asks()
    await world.is_answered()
    await world.talk(3)
    world.browser.say(type="hangup")
    await world.browser.wait("disconnect")
    record = await world.settled()
    found = world.received()
    assert_documented(found)
    assert_one_trace(found)
    assert found.keys() == SPANS.keys() - {spans.VISITOR_TOKEN}
    call = found[spans.CALL]
    assert call.attributes == {
        "caller.call_id": world.browser.of("ready")[0]["call_id"],
        "caller.country": found[spans.TOKEN].attributes["caller.country"],
        "caller.cause": "NORMAL_CLEARING",
        "caller.ended_by": "caller",
    }
    assert [name for name, _ in call.events] == [*EVENTS]
    assert {span.error for span in found.values()} == {""}
    # It rang for two seconds, and they talked for as long as the record says.
    assert 2 * 10**9 <= found[spans.RING].end_ns - found[spans.RING].start_ns < 2.5 * 10**9
    talk = found[spans.TALK]
    lasted_s = (record.ended_at - record.answered_at).total_seconds()
    assert round((talk.end_ns - talk.start_ns) / 1e9, 6) == lasted_s
    # From state to state without a gap, from the redemption to the settlement.
    order = (spans.ADMISSION, spans.HOLD, spans.DIAL, spans.RING, spans.TALK, spans.HANG_UP)
    for earlier, later in zip(order, (*order[1:], spans.SETTLE), strict=True):
        if earlier != spans.DIAL:
            assert found[earlier].end_ns == found[later].start_ns
    assert found[spans.ADMISSION].start_ns == call.start_ns
    assert found[spans.SETTLE].end_ns == call.end_ns
    # The order to the carrier takes the way there and back, or as long as its first callback does.
    dial = found[spans.DIAL]
    assert world.carrier_delay_ns <= dial.end_ns - dial.start_ns <= 10 * world.carrier_delay_ns


async def test_a_carrier_that_refuses_is_a_fault_of_the_order_and_of_the_call(traced_of):
    world = await traced_of()
    world.phone.faults.replace(FaultPlan(rest=RestFault(status=500, operation="create")))
    await world.asks()
    await world.browser.wait("disconnect")
    await world.run(5)
    found = world.received()
    assert_documented(found)
    assert_one_trace(found)
    assert found.keys() == {
        spans.TOKEN,
        spans.CALL,
        spans.ADMISSION,
        spans.HOLD,
        spans.DIAL,
        spans.SETTLE,
    }
    assert found[spans.DIAL].error == found[spans.CALL].error == "NETWORK_OUT_OF_ORDER"


async def test_a_caller_without_credit_is_refused_in_the_trace(traced_of):
    world = await traced_of(credit=0)
    await world.asks()
    await world.run(5)
    found = world.received()
    assert_documented(found)
    assert_one_trace(found)
    assert found.keys() == {spans.TOKEN, spans.CALL, spans.ADMISSION, spans.HOLD}
    assert found[spans.CALL].attributes["caller.refusal"] == "insufficient_credit"
    assert found[spans.CALL].error == "insufficient_credit"
