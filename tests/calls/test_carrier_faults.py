"""A carrier that fails: whatever it does, the call ends in time, says why, and is charged right."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.calls.world import Customer, Phone, World
from tests.valkey import free_port

NEVER_STREAMS = "+15005551012"
DUPLICATES = "+15005551014"
LOSES_COMPLETED = "+15005551015"
BUSY_ONCE = "+15005551016"
ANSWERS_TOO_LATE = "+15005551018"
SERVER_ERROR, UNAUTHORISED = "+15005551019", "+15005551020"
BUSY, NO_ANSWER = "+15005551004", "+15005551005"
SLOW = "+15005551011"


async def in_call(customer: Customer, phone: Phone) -> str:
    """Wait until both legs hear each other; return the carrier's id of the call."""
    await phone.wait("accept")
    await phone.wait_frames(len(phone.frames) + 5)
    return await customer.carrier_call_id(phone.events[0]["call_id"])


async def assert_settled(
    world: World, customer: Customer, ended: Mapping[str, Any]
) -> dict[str, Any]:
    """The record says what the caller was told, and the carrier's leg is over."""
    record = await customer.record(ended["call_id"])
    assert record["cost"] == ended["cost"]
    assert record["cost"]["micros"] == 1000 * record["seconds"]
    assert (record["cause"], record["ended_by"]) == (ended["cause"], ended["ended_by"])
    if record["carrier_call_id"]:
        state = await world.carrier_get(f"/calls/{record['carrier_call_id']}")
        assert state["status"] in ("completed", "busy", "no-answer", "failed", "canceled")
    return record


async def assert_call(
    world: World, customer: Customer, number: str, cause: int, ended_by: str, timeout_s: float = 20
) -> dict[str, Any]:
    """A call to the number ends by itself, for this cause."""
    async with customer.call(number) as phone:
        ended = await phone.wait("disconnect", timeout_s)
        assert await phone.wait_closed() == 1000
    assert (ended["cause"], ended["ended_by"]) == (cause, ended_by)
    return await assert_settled(world, customer, ended)


async def assert_media_lost(world: World, customer: Customer) -> None:
    """A call whose media breaks off ends, and says so."""
    async with customer.call() as phone:
        sid = await in_call(customer, phone)
        # Else that the call is over may be told before the break is seen.
        await world.carrier_faults({"callbacks": {"delay_s": 2.0}})
        await world.carrier_act(sid, action="drop_tcp")
        ended = await phone.wait("disconnect")
    assert (ended["cause"], ended["ended_by"]) == (38, "carrier")
    await assert_settled(world, customer, ended)


async def assert_refused(world: World, customer: Customer, number: str) -> None:
    """A call that the carrier does not take costs nothing."""
    record = await assert_call(world, customer, number, 38, "carrier")
    assert record["cost"]["micros"] == record["seconds"] == 0
    assert record["carrier_call_id"] is None


async def assert_overdue(world: World, customer: Customer, number: str) -> None:
    """A call that is answered but never heard ends, and costs nothing."""
    record = await assert_call(world, customer, number, 604, "carrier")
    assert record["answered_at"] is not None
    assert (record["seconds"], record["cost"]["micros"]) == (0, 0)
    assert (record["browser"]["mos"], record["carrier"]["mos"]) == (None, None)


async def test_a_call_that_the_carrier_fails_ends_soon_and_says_why(
    world: World, customer: Customer
):
    await asyncio.gather(
        assert_overdue(world, customer, NEVER_STREAMS),
        assert_media_lost(world, customer),
        assert_call(world, customer, NO_ANSWER, 19, "callee"),
        assert_refused(world, customer, SERVER_ERROR),
        assert_refused(world, customer, UNAUTHORISED),
        placed_once(world, customer),
        *(placed_at_last(world, customer) for _ in range(2)),
    )
    await customer.ordinary_call()


async def test_calls_end_in_any_way_before_the_answer(world: World, customer: Customer):
    async def acted(action: str, kind: str, cause: int) -> None:
        async with customer.call(SLOW) as phone:
            await phone.wait("ringing")
            sid = await customer.carrier_call_id(phone.events[0]["call_id"])
            await world.carrier_act(sid, action=action)
            ended = await phone.wait(kind)
        assert ended["cause"] == cause
        assert ended["cost"]["micros"] == 0
        await assert_settled(world, customer, ended)

    await asyncio.gather(
        acted("busy", "disconnect", 17),
        acted("hangup", "cancel", 487),
        assert_call(world, customer, "+15005551006", 1, "carrier"),
    )
    assert await customer.balance() == 10_000_000


async def test_calls_go_on_although_all_callbacks_are_lost(world: World, customer: Customer):
    events = ["initiated", "ringing", "answered", "completed"]
    await world.carrier_faults({"callbacks": {"drop": events}})

    async def busy() -> None:
        """Found out by asking, as nobody tells."""
        record = await assert_call(world, customer, BUSY, 17, "callee", 40)
        assert record["cost"]["micros"] == 0

    async def hangs_up() -> None:
        async with customer.call() as phone:
            await world.carrier_act(await in_call(customer, phone), action="hangup")
            ended = await phone.wait("disconnect")
        assert (ended["cause"], ended["ended_by"]) == (16, "callee")
        await assert_settled(world, customer, ended)

    await asyncio.gather(
        busy(),
        hangs_up(),
        placed_once(world, customer),
        customer.ordinary_call(),
    )


async def test_a_public_origin_that_cannot_be_reached_is_told_to_caller_and_operator(
    new_world: Callable[..., World],
):
    """The phone is answered, and nobody is there: neither callbacks nor the stream arrive."""
    origin = f"http://127.0.0.1:{free_port()}"
    world = new_world(CALLER_PUBLIC_ORIGIN=origin, CALLER_RING_TIMEOUT_S="30")
    await asyncio.to_thread(world.start_gateway)
    customer = await world.new_customer()
    begun = time.monotonic()
    for number in ("+15005551000", SLOW):
        async with customer.connect(f"ws://127.0.0.1:{world.port}/n/n1/media/browser") as phone:
            token = await customer.token(number)
            await phone.send(type="start", version=1, token=token["token"])
            ended = await phone.wait("disconnect", 30)
        assert (ended["cause"], ended["name"]) == (609, "GATEWAY_DOWN")
        assert "could not reach this gateway" in ended["message"]
        await assert_settled(world, customer, ended)
    assert time.monotonic() - begun < 60
    world.stop()
    assert world.gateway is not None
    lines = [json.loads(line) for line in world.gateway.log.read_text().splitlines()]
    (told,) = [line for line in lines if line["event"].startswith("the carrier does not reach")]
    assert (told["level"], told["calls"]) == ("warning", 1)
    assert "Nothing listens" in told["found"]
    await customer.http.aclose()


async def placed_once(world: World, customer: Customer) -> None:
    """A call whose placing got no answer is found, and not placed again."""
    known = await sids(world, ANSWERS_TOO_LATE)
    async with customer.call(ANSWERS_TOO_LATE) as phone:
        await phone.wait("accept")
        sid = await in_call(customer, phone)
        ended = await phone.hang_up()
    assert await sids(world, ANSWERS_TOO_LATE) - known == {sid}
    await assert_settled(world, customer, ended)


async def sids(world: World, number: str) -> set[str]:
    """Return the carrier's calls to a number."""
    calls = (await world.carrier_get("/calls"))["calls"]
    return {call["sid"] for call in calls if call["to"] == number}


async def placed_at_last(world: World, customer: Customer) -> None:
    """The carrier says "too many requests" to every other request, which is then repeated."""
    async with customer.call(BUSY_ONCE) as phone:
        await in_call(customer, phone)
        ended = await phone.hang_up()
    await assert_settled(world, customer, ended)
