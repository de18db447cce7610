"""Another carrier than Twilio is a folder and one line: calls by it are heard and metered."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import websockets

from gateway.carriers.known import CARRIERS
from gateway.roles.serve import Gateway
from tests.calls.loopback.carrier import CARRIER as LOOPBACK
from tests.calls.loopback.carrier import PATIENCE
from tests.calls.test_whole_call import speech
from tests.calls.world import Customer, World

(IMPATIENT,) = PATIENCE
KNOWN = (*CARRIERS, LOOPBACK)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway of one process whose carrier is the other one; it has no account at Twilio."""
    world = World(
        tmp_path,
        CALLER_CARRIER="loopback",
        CALLER_FLEET_SECRET="long and random, as such keys are",
        CALLER_TWILIO_ACCOUNT_SID="",
        CALLER_TWILIO_AUTH_TOKEN="",
        CALLER_CALLER_ID="",
        CALLER_DRAIN_TIMEOUT_S="0",
    ).lay_tables()
    gateway = Gateway(world.settings, world.environ, carriers=KNOWN)
    await gateway.start()
    yield world
    await world.assert_books_balance()
    await gateway.stop()


def echoed(spoken: list[bytes], heard: bytes) -> list[int]:
    """Return where in the audio that was heard frames of the caller's own are."""
    return [place for frame in spoken if (place := heard.find(frame)) >= 0]


async def test_a_caller_hears_what_they_say_and_pays_for_each_second(
    world: World, customer: Customer
):
    spoken = speech(75)
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        await phone.wait("sample")
        await phone.speak(spoken)
        await phone.wait("cost", where=lambda event: event["seconds"] >= 1)
        ended = await phone.hang_up()
        assert await phone.wait_closed() == 1000
    assert (ended["cause"], ended["ended_by"]) == (16, "caller")
    places = echoed(spoken, b"".join(phone.frames))
    assert places
    assert places == sorted(places), "frames are out of order"
    record = await customer.record(call_id)
    assert record["carrier_seconds"] >= 1
    assert record["cost"]["micros"] == ended["cost"]["micros"] > 0
    assert await customer.balance() == 10_000_000 - record["cost"]["micros"]


async def test_a_phone_that_hangs_up_ends_the_call(world: World, customer: Customer):
    async with customer.call(IMPATIENT) as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        with contextlib.suppress(websockets.ConnectionClosedOK):
            await phone.speak(speech(50))
        assert await phone.wait_closed() == 1000
    (ended,) = [event for event in phone.events if event["type"] == "disconnect"]
    assert (ended["cause"], ended["ended_by"]) == (16, "callee")
    record = await customer.record(call_id)
    assert record["cost"]["micros"] == ended["cost"]["micros"] > 0


async def test_a_stream_that_nobody_signed_is_refused(world: World):
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(
            f"ws://127.0.0.1:{world.port}/n/n1/media/loopback?call", compression=None
        ):
            pass
    assert refused.value.response.status_code == 403
