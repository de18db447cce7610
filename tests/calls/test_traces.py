"""One trace a call over the processes of a machine: pages, a node, and a worker that sends none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.telemetry import spans
from gateway.telemetry.spans import ATTRIBUTES, EVENTS, SPANS
from tests.calls.world import ECHO, Customer, Process, World, eventually
from tests.gateway.telemetry.collector import Collector, collecting

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Machine(World):
    """A world whose gateway is a process for pages, one for calls, and a worker."""

    def start_gateway(self) -> None:
        self.gateway = Process(["serve", "--media", "1"], self.environ, self.folder / "gateway.log")
        self.gateway.wait_for(self.base + "/healthz")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest.fixture
async def customer(new_world: Any, collector: Collector) -> AsyncIterator[Customer]:
    """A customer of a machine that sends traces, and that knows of its node."""
    world = new_world(
        Machine,
        CALLER_OTLP_URL=collector.url,
        CALLER_OTLP_HEADERS="Authorization=Bearer%20s3cret",
        OTEL_SERVICE_NAME="calls",
    )
    world.start_gateway()
    customer = await world.new_customer()

    async def admitted() -> bool:
        reply = await customer.http.post("/v1/check-tokens", json={})
        return reply.status_code == 201

    await eventually(admitted, 40)
    yield customer
    await customer.http.aclose()
    assert world.gateway.terminate() == 0, world.gateway.log.read_text()
    log = world.gateway.log.read_text()
    assert '"level": "error"' not in log, log


async def test_a_call_is_one_trace_over_all_processes(
    customer: Customer, collector: Collector
) -> None:
    customer.http.headers["traceparent"] = CLIENT
    record = await customer.ordinary_call()
    # Of an ordinary call there are all, if its phone rang.
    await eventually(lambda: _is_there(collector, spans.CALL), 20)
    await eventually(lambda: _is_there(collector, spans.TOKEN), 20)
    found = {span.name: span for span in collector.spans}
    assert len(found) == len(collector.spans)
    assert found.keys() == SPANS.keys() - {spans.VISITOR_TOKEN, *_unneeded(found)}
    token, call = found[spans.TOKEN], found[spans.CALL]
    assert {span.trace_id for span in found.values()} == {CLIENT[3:35]}
    assert (token.parent_id, call.parent_id) == (CLIENT[36:52], token.span_id)
    for name, span in found.items():
        is_web = name == spans.TOKEN
        assert span.resource["service.instance.id"] == ("web" if is_web else record["node"])
        assert span.resource["service.name"] == "calls"
        assert span.parent_id == call.span_id or name in {spans.TOKEN, spans.CALL}
        assert span.attributes.keys() <= {*SPANS[name].attributes} <= ATTRIBUTES.keys()
        assert {event for event, _ in span.events} <= EVENTS.keys()
    assert call.attributes == {
        "caller.call_id": record["id"],
        "caller.country": "US",
        "caller.cause": "NORMAL_CLEARING",
        "caller.ended_by": record["ended_by"],
    }
    # The machine is one, so its clocks are, but for what tying them to the wall's costs.
    assert token.start_ns < call.start_ns
    assert {headers["Authorization"] for headers in collector.asked} == {"Bearer s3cret"}
    sent = b"".join(collector.bodies)
    caller_id = customer.world.environ["CALLER_CALLER_ID"]
    for private in (ECHO[1:], caller_id[1:], customer.account_id, customer.key, "127.0.0.1"):
        assert private.encode() not in sent


async def test_a_collector_that_hangs_costs_a_call_nothing(
    customer: Customer, collector: Collector
) -> None:
    collector.hangs = True
    for _ in range(2):
        record = await customer.ordinary_call()
        assert record["cause"] == 16
    assert collector.bodies == []


async def _is_there(collector: Collector, name: str) -> bool:
    return any(span.name == name for span in collector.spans)


def _unneeded(found: Any) -> set[str]:
    """Return the span that a call has or not: one that the carrier ends needs no order to end."""
    return {spans.HANG_UP} - found.keys()
