"""A real gateway that stands still in mid-call: stopped as a process, as a paused machine is."""

import asyncio
import contextlib
import signal
import time

import pytest

from billing.stores.gate_audit import audit_gate
from tests.calls.world import World

SECOND_MICROS = 1_000
HORIZON_S, GRACE_S = 3, 1


@pytest.fixture
async def stopping_world(tmp_path, database_url):
    world = World(
        tmp_path,
        CALLER_DATABASE_URL=database_url,
        CALLER_PREPAID_HORIZON_S=str(HORIZON_S),
        CALLER_GRACE_S=str(GRACE_S),
        # Only the meter is to notice.
        CALLER_MEDIA_SILENCE_S="60",
    )
    await asyncio.to_thread(world.start)
    yield world
    await asyncio.to_thread(world.stop)


async def test_a_gateway_that_was_stopped_past_paid_time_and_grace_cuts_there(stopping_world):
    """It wakes, has credit enough, and yet claims nothing for a call that was nobody's."""
    world = stopping_world
    assert world.gateway is not None
    customer = await world.new_customer()
    async with contextlib.AsyncExitStack() as stack:
        phone = await stack.enter_async_context(customer.call())
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        cost = await phone.wait("cost", where=lambda e: e["seconds"] >= 3)
        world.gateway.popen.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        await asyncio.sleep(HORIZON_S + GRACE_S + 4)
        async with world.stores() as stores:
            (held,) = await stores.gate.open_calls()
            world.gateway.popen.send_signal(signal.SIGCONT)
        record = await customer.record(call_id)
        assert time.monotonic() - stopped < 30
    assert (record["ended_by"], record["cause"]) == ("gateway", 41)
    assert cost["seconds"] < record["seconds"] <= held.seconds + HORIZON_S
    assert record["cost"]["micros"] == record["seconds"] * SECOND_MICROS == held.held_micros
    assert await customer.balance() == 10_000_000 - held.held_micros
    await customer.http.aclose()
    await world.assert_books_balance()
    async with world.stores() as stores:
        assert await audit_gate(stores.gate, stores.engine) == []
