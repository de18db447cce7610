"""Phones that ring or talk for nobody, and calls that are another's: the test is the carrier.

Whose a call is, only the carrier's own word to the call's own addresses proves.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import pytest

from tests.calls.stand_in import (
    PlacedCall,
    StandIn,
    close_code,
    media_socket,
    post_signed,
    speaking,
    start_message,
    start_stream,
)
from tests.calls.test_recovery import Cluster, at, cluster, own_server
from tests.calls.world import ECHO, Customer, World, eventually
from tests.valkey import free_port

__all__ = ["cluster", "own_server"]

CALLER_ID = "+15005550006"
NO_ANSWER_CAUSE = 102
STREAM_S = 20
"""How long an answered call waits for its stream here: longer than a test takes."""
GONE_S = 60
"""Until a node that was killed is believed gone, with room for a busy machine."""


@pytest.fixture(scope="module")
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway of this file whose carrier is the test, on a port of its own."""
    folder = tmp_path_factory.mktemp("ghosts")
    world = played(World(folder, CALLER_STREAM_TIMEOUT_S=str(STREAM_S))).lay_tables()
    # A process goes with the thread that has started it, and a test's threads with the test.
    world.start_gateway()
    yield world
    world.stop()


def played(world: World) -> World:
    """Let the test be the carrier of a world that has not been started."""
    world.carrier_port = free_port()
    world.environ["CALLER_CARRIER_URL"] = f"http://127.0.0.1:{world.carrier_port}"
    return world


@contextlib.asynccontextmanager
async def carrier_of(world: World) -> AsyncIterator[StandIn]:
    """Start the world's gateway, unless it runs, with the test as its carrier."""
    async with StandIn(world.carrier_port).serving() as carrier:
        if world.gateway is None:
            await asyncio.to_thread(world.start_gateway)
        yield carrier


async def is_ended(call: PlacedCall) -> bool:
    return call.status == "completed"


async def assert_ended(call: PlacedCall, timeout_s: float = 10) -> None:
    """The carrier is asked to end the call, and does."""
    await eventually(lambda: is_ended(call), timeout_s)


async def failed_call(customer: Customer) -> dict:
    """Make a call that comes to nothing; return its record."""
    async with customer.call() as phone:
        ended = await phone.wait("disconnect")
    assert ended["cost"]["micros"] == 0
    return await customer.record(ended["call_id"])


async def lost_call(customer: Customer, carrier: StandIn) -> PlacedCall:
    """Let the carrier place a call, and its reply get lost; the caller is told that it failed."""
    carrier.reply_status = 0
    record = await failed_call(customer)
    assert record["cause"] == NO_ANSWER_CAUSE
    assert record["carrier_call_id"] is None
    carrier.reply_status = 201
    return await carrier.next_call()


async def test_a_failed_create_takes_nobodys_call_for_its_own(own_world: World):
    """Another program's, and another account's whose placing got no answer yet."""
    async with carrier_of(own_world) as carrier:
        one, other = await own_world.new_customer(), await own_world.new_customer()
        stranger = carrier.others_call(ECHO, CALLER_ID)
        async with other.call() as phone:
            theirs = await carrier.next_call()
            await theirs.report("in-progress")
            await phone.wait("accept")
            async with speaking(own_world, theirs):
                carrier.reply_status = 503
                record = await failed_call(one)
                carrier.reply_status = 201
                assert record["carrier_call_id"] is None
                assert record["seconds"] == 0
                assert phone.close_code is None
                assert carrier.ended == []
                ended = await phone.hang_up()
        assert ended["cost"]["micros"] > 0
        assert (await other.record(ended["call_id"]))["carrier_call_id"] == theirs.sid
        assert await one.balance() == 10_000_000
        assert stranger.status == "in-progress"
        assert set(carrier.ended) == {theirs.sid}
        await own_world.assert_books_balance()
        await one.http.aclose()
        await other.http.aclose()


async def test_a_failed_create_takes_no_call_of_another_node(cluster: Cluster):
    first, second = played(cluster.make_named("n1")), cluster.make_named("n2")
    second.environ["CALLER_CARRIER_URL"] = first.environ["CALLER_CARRIER_URL"]
    async with carrier_of(first) as carrier:
        await asyncio.to_thread(second.start_gateway)
        customer, other = await first.new_customer(), await first.new_customer()
        async with customer.call() as phone, at(second, other) as elsewhere:
            theirs = await carrier.next_call()
            await theirs.report("in-progress")
            await phone.wait("accept")
            async with speaking(first, theirs):
                carrier.reply_status = 500
                record = await failed_call(elsewhere)
                assert record["carrier_call_id"] is None
                assert phone.close_code is None
                assert carrier.ended == []
                await phone.hang_up()
        assert await other.balance() == 10_000_000
        await first.assert_books_balance()
        await customer.http.aclose()
        await other.http.aclose()


@pytest.mark.parametrize("word", ["initiated", "ringing", "in-progress"])
async def test_a_phone_that_rings_for_nobody_is_hung_up(own_world: World, word: str):
    """The reply was lost, and the first callback comes after the caller was told of the failure."""
    async with carrier_of(own_world) as carrier:
        customer = await own_world.new_customer()
        call = await lost_call(customer, carrier)
        carrier.unseen = 7
        assert (await call.report(word)).status_code == 204
        await assert_ended(call)
        assert len(carrier.ended) >= 3, "404 is no proof that it has ended"
        assert await customer.balance() == 10_000_000
        await own_world.assert_books_balance()
        await customer.http.aclose()


async def test_a_phone_that_talks_to_nobody_is_hung_up(own_world: World):
    """All callbacks are lost; the stream of a call that was given up comes all the same."""
    async with carrier_of(own_world) as carrier:
        customer = await own_world.new_customer()
        call = await lost_call(customer, carrier)
        async with media_socket(own_world) as ws:
            await start_stream(ws, start_message(call.sid, call.token))
            assert await close_code(ws) == 1008
        await assert_ended(call)
        await customer.http.aclose()


async def test_a_callback_in_time_proves_the_call(own_world: World):
    async with carrier_of(own_world) as carrier:
        customer = await own_world.new_customer()
        carrier.reply_status = 0
        async with customer.call() as phone:
            call = await carrier.next_call()
            tone = await phone.wait("tone")
            assert tone["name"] == "connecting", "the caller hears that the call is being placed"
            await asyncio.sleep(1.0)
            await call.report("ringing")
            await phone.wait("ringing")
            ended_as = asyncio.create_task(phone.wait("cancel"))
            await phone.send(type="hangup")
            ended = await ended_as
        assert (await customer.record(ended["call_id"]))["carrier_call_id"] == call.sid
        await assert_ended(call)
        await customer.http.aclose()


async def test_a_ghost_is_ended_although_the_process_is_killed_meanwhile(
    new_world: Callable[..., World],
):
    world = played(new_world(CALLER_STREAM_TIMEOUT_S=str(STREAM_S)))
    async with carrier_of(world) as carrier:
        customer = await world.new_customer()
        call = await lost_call(customer, carrier)
        carrier.unseen = 1_000_000
        await call.report("ringing")
        await eventually(lambda: was_asked(carrier, call))
        assert world.gateway is not None
        world.gateway.popen.kill()
        world.gateway.popen.wait()
        carrier.unseen = 0
        await asyncio.to_thread(world.start_gateway)
        await assert_ended(call, 30)
        await customer.http.aclose()


async def was_asked(carrier: StandIn, call: PlacedCall) -> bool:
    return call.sid in carrier.ended


async def test_a_call_that_the_carrier_made_twice_lives_on_once(own_world: World):
    async with carrier_of(own_world) as carrier:
        customer = await own_world.new_customer()
        async with customer.call() as phone:
            call = await carrier.next_call()
            await customer.carrier_call_id((await phone.wait("ready"))["call_id"])
            await call.report("in-progress")
            await phone.wait("accept")
            double = PlacedCall("CA" + secrets.token_hex(16), call.form)
            carrier.calls.append(double)
            await double.report("ringing")
            await assert_ended(double)
            assert phone.close_code is None
            assert call.status == "in-progress"
            await phone.hang_up()
        await assert_ended(call)
        await customer.http.aclose()


@pytest.mark.parametrize("word", ["completed", "busy"])
async def test_a_phone_that_goes_on_after_its_end_was_told_is_hung_up(own_world: World, word: str):
    """Signed, and wrong: told while it talks, and of another call while that rings."""
    async with carrier_of(own_world) as carrier:
        customer = await own_world.new_customer()
        async with customer.call() as phone:
            call = await carrier.next_call()
            await call.report("in-progress")
            async with speaking(own_world, call):
                await phone.wait("accept")
                await call.tell(word)
                await phone.wait("disconnect")
                await assert_ended(call)
        asked = len(carrier.ended)
        await call.tell("in-progress")
        await asyncio.sleep(1)
        assert len(carrier.ended) == asked, "the carrier shows it over"
        async with customer.call() as phone:
            call = await carrier.next_call()
            await call.report("ringing")
            await phone.wait("ringing")
            await call.tell(word)
            await phone.wait_closed()
            await call.tell("completed")
            await asyncio.sleep(1)
            assert call.sid not in carrier.ended, "nothing shows that it goes on"
            await call.report("in-progress")
            await assert_ended(call)
        await customer.http.aclose()


async def test_a_callback_of_another_nodes_call_ends_nobody(cluster: Cluster):
    """Signed, at the address of a live call, with the carrier call of one on the other node."""
    first, second = played(cluster.make_named("n1")), cluster.make_named("n2")
    second.environ["CALLER_CARRIER_URL"] = first.environ["CALLER_CARRIER_URL"]
    for node in (first, second):
        node.environ["CALLER_STREAM_TIMEOUT_S"] = str(STREAM_S)
    async with carrier_of(first) as carrier:
        await asyncio.to_thread(second.start_gateway)
        customer, other = await first.new_customer(), await first.new_customer()
        async with customer.call() as phone, at(second, other) as elsewhere:
            call = await carrier.next_call()
            await call.report("in-progress")
            await phone.wait("accept")
            async with elsewhere.call() as second_phone:
                theirs = await carrier.next_call()
                await theirs.report("in-progress")
                await second_phone.wait("accept")
                for word in ("initiated", "ringing", "in-progress", "completed", "busy"):
                    form = {"CallSid": theirs.sid, "CallStatus": word}
                    assert (await post_signed(call.status_url, form)).status_code == 204
                await asyncio.sleep(3)
                assert carrier.ended == []
                assert phone.close_code is second_phone.close_code is None
                await second_phone.hang_up()
            await phone.hang_up()
        await customer.http.aclose()
        await other.http.aclose()


async def test_a_callback_at_the_wrong_node_ends_what_no_node_lives_on(cluster: Cluster):
    """A live call is left alone; one that is over is ended, and one whose node is gone."""
    first, second = played(cluster.make_named("n1")), cluster.make_named("n2")
    second.environ["CALLER_CARRIER_URL"] = first.environ["CALLER_CARRIER_URL"]
    first.environ["CALLER_STREAM_TIMEOUT_S"] = str(STREAM_S)

    async def misled(call: PlacedCall) -> None:
        url = second.base + urlsplit(call.status_url).path
        form = {"CallSid": call.sid, "CallStatus": "ringing"}
        assert (await post_signed(url, form)).status_code == 204

    async with carrier_of(first) as carrier:
        await asyncio.to_thread(second.start_gateway)
        customer = await first.new_customer()
        async with customer.call() as phone:
            live = await carrier.next_call()
            await live.report("in-progress")
            await phone.wait("accept")
            await misled(live)
            await asyncio.sleep(3)
            assert phone.close_code is None
            assert carrier.ended == []
            await phone.hang_up()
        over = await lost_call(customer, carrier)
        await misled(over)
        await assert_ended(over)
        orphan = await lost_call(customer, carrier)
        assert first.gateway is not None
        first.gateway.popen.kill()
        first.gateway.popen.wait()
        await misled(orphan)
        await assert_ended(orphan, GONE_S)
        await customer.http.aclose()


async def test_nothing_unsigned_ends_a_call(own_world: World):
    async with carrier_of(own_world) as carrier:
        customer = await own_world.new_customer()
        call = await lost_call(customer, carrier)
        forged = {"X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
        form = {"CallSid": call.sid, "CallStatus": "ringing"}
        for node in ("n1", "n2"):
            url = call.status_url.replace("/n/n1/", f"/n/{node}/")
            assert (await post_signed(url, form, headers=forged)).status_code == 403
        await asyncio.sleep(3)
        assert carrier.ended == []
        await customer.http.aclose()
