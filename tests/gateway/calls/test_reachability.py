"""Whether the carrier reaches this node: what is concluded, when, and how often it is told."""

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.calls.reachability import PROBED_NS, UNREACHED_NS, Reachability
from gateway.cause import Cause
from tests.gateway.virtual_time import virtual_loop

DEAD = "Nothing listens at https://calls.example.com."
SECOND_NS = 1_000_000_000


@pytest.fixture
def lines():
    with capture_logs() as written:
        yield written


def warnings(lines):
    return [line for line in lines if line["event"] == "the carrier does not reach this gateway"]


@pytest.mark.parametrize(
    ("status", "after_s", "fault", "is_cut_off"),
    [
        ("answered", 8, "", True),
        ("answered", 7.9, DEAD, False),
        ("ringing", 8, DEAD, True),
        ("ringing", 60, "", False),
        ("dialling", 8, DEAD, True),
        ("queued", 600, DEAD, False),
        ("unknown", 600, DEAD, False),
        ("completed", 8, "", True),
        ("completed", 3, DEAD, True),
        ("completed", 3, "", False),
        ("busy", 30, DEAD, False),
        ("no_answer", 30, DEAD, False),
    ],
)
@pytest.mark.parametrize("has_reached", [False, True])
async def test_what_is_concluded(status, after_s, fault, is_cut_off, has_reached):
    loop = virtual_loop()

    async def probe():
        return fault

    reach = Reachability(loop.clock_ns, probe)
    reach.reached()
    await asyncio.sleep(1)
    ordered_ns = loop.clock_ns()
    await asyncio.sleep(0.5)
    placed_ns = loop.clock_ns()
    if has_reached:
        reach.reached()
    await asyncio.sleep(after_s)
    found = await reach.is_cut_off(
        CarrierStatus("CA1", CarrierState(status)), ordered_ns, placed_ns
    )
    assert found is (is_cut_off and not has_reached)


async def test_a_callback_that_comes_while_the_origin_is_looked_at_counts():
    loop = virtual_loop()

    async def probe():
        reach.reached()
        return DEAD

    reach = Reachability(loop.clock_ns, probe)
    placed_ns = loop.clock_ns()
    await asyncio.sleep(9)
    assert not await reach.is_cut_off(
        CarrierStatus("CA1", CarrierState.RINGING), placed_ns, placed_ns
    )


async def test_the_origin_is_looked_at_once_for_all_and_the_warning_counts(lines):
    loop, looks = virtual_loop(), []

    async def probe():
        looks.append(loop.clock_ns())
        await asyncio.sleep(1)
        return DEAD

    reach = Reachability(loop.clock_ns, probe)
    placed_ns = loop.clock_ns()
    await asyncio.sleep(9)
    ringing = CarrierStatus("CA1", CarrierState.RINGING)
    for _ in range(2):
        cut = [reach.is_cut_off(ringing, placed_ns, placed_ns) for _ in range(100)]
        assert all(await asyncio.gather(*cut))
    assert len(looks) == 1
    assert [line["calls"] for line in warnings(lines)] == [1]
    await asyncio.sleep(61)
    assert await reach.is_cut_off(ringing, placed_ns, placed_ns)
    assert [line["calls"] for line in warnings(lines)] == [1, 200]
    assert len(looks) == 2
    assert warnings(lines)[0]["found"] == DEAD
    assert "CALLER_PUBLIC_ORIGIN" in warnings(lines)[0]["hint"]
    assert PROBED_NS < 61 * SECOND_NS


async def test_a_look_that_fails_finds_nothing_wrong_and_is_told_once(lines):
    loop = virtual_loop()

    async def probe():
        raise ZeroDivisionError

    reach = Reachability(loop.clock_ns, probe)
    placed_ns = loop.clock_ns()
    await asyncio.sleep(9)
    for state, is_cut_off in ((CarrierState.RINGING, False), (CarrierState.ANSWERED, True)):
        for _ in range(2):
            status = CarrierStatus("CA1", state)
            assert await reach.is_cut_off(status, placed_ns, placed_ns) is is_cut_off
    events = [line["event"] for line in lines]
    assert events.count("public origin not looked at") == 1
    assert "could not be looked at" in warnings(lines)[0]["found"]


async def test_a_phone_that_rings_for_nobody_is_ended_within_eight_seconds(stage, lines):
    """Silence until the phone gives up, and "ended by callee": what it was before."""
    stage.carrier.on_fetch = "ringing"
    stage.origin_fault = DEAD
    call = stage.call()
    await stage.run(UNREACHED_NS / 1e9 - 0.1)
    assert call.bridge.call.is_live
    await stage.run(0.5)
    assert call.bridge.call.cause is Cause.GATEWAY_DOWN
    assert stage.carrier.hung_up == ["CA1"]
    await stage.until(lambda: call.browser.of("disconnect"))
    told = call.browser.of("disconnect")[-1]
    assert (told["cause"], told["name"], told["ended_by"]) == (609, "GATEWAY_DOWN", "gateway")
    assert "could not reach this gateway" in told["message"]
    assert told["cost"]["micros"] == 0
    assert len(warnings(lines)) == 1


@pytest.mark.parametrize("fault", ["", DEAD])
async def test_a_phone_that_was_answered_for_nobody_is_ended(stage, fault):
    stage.carrier.on_fetch = "answered"
    stage.origin_fault = fault
    call = stage.call()
    await stage.run(8.4)
    assert call.bridge.call.cause is Cause.GATEWAY_DOWN
    await stage.until(lambda: stage.released)
    assert stage.record().seconds == 0


async def test_the_carrier_gave_up_because_it_could_not_open_the_stream(stage):
    stage.carrier.on_fetch = "completed"
    stage.origin_fault = DEAD
    call = stage.call()
    await stage.until(lambda: stage.released)
    assert (stage.record().cause, stage.record().ended_by) == (609, "gateway")
    assert call.bridge.call.ended_ns - stage.clock_ns() < 4 * SECOND_NS


async def test_an_ordinary_outcome_keeps_its_cause_and_the_operator_is_warned(stage, lines):
    stage.carrier.on_fetch = "busy"
    stage.origin_fault = DEAD
    stage.call()
    await stage.until(lambda: stage.released)
    assert stage.record().cause_name == "USER_BUSY"
    assert len(warnings(lines)) == 1


async def test_a_single_callback_is_enough_to_wait_for_a_late_stream(stage):
    """An account on trial plays its announcement first."""
    stage.carrier.on_fetch = "answered"
    stage.origin_fault = DEAD
    call = stage.call()
    await stage.run(0.1)
    call.status("dialling")
    await stage.run(25)
    assert call.bridge.call.is_live
    call.opens_stream()
    assert call.bridge.call.is_live
    call.says(type="hangup")
    await stage.until(lambda: stage.released)


async def test_callbacks_of_one_call_prove_the_way_for_all(stage):
    stage.carrier.on_fetch = "ringing"
    stage.origin_fault = DEAD
    lost = stage.call("c1")
    await stage.run(1)
    stage.reachability.reached()
    await stage.run(15)
    assert lost.bridge.call.is_live
    lost.says(type="hangup")
    await stage.until(lambda: stage.released)


async def test_a_queued_call_is_waited_for(stage):
    stage.carrier.on_fetch = "queued"
    stage.origin_fault = DEAD
    call = stage.call()
    await stage.run(60)
    assert call.bridge.call.is_live
    stage.carrier.on_fetch = "ringing"
    await stage.run(4)
    assert call.bridge.call.cause is Cause.GATEWAY_DOWN
    await stage.until(lambda: stage.released)
