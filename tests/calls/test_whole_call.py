"""Calls over real sockets, processes and stores: every event, every cent."""

import asyncio
import random
from typing import Any

import pytest

from tests.calls.world import Customer, World

BUSY = "+15005551004"


def speech(count: int, seed: int = 1) -> list[bytes]:
    """Frames that are all different, so that each can be recognised."""
    source = random.Random(seed)
    return [bytes(source.randrange(0x40, 0x60) for _ in range(160)) for _ in range(count)]


def assert_heard(spoken: list[bytes], heard: bytes, record: dict[str, Any]) -> None:
    """What is said once both are joined arrives; what is played of it is heard once, in order.

    How much is played as it was spoken depends on the machine: the tests' own phone speaks when it
    has its turn, and the gateway conceals what comes late. `tests/whole_calls` demands every byte.
    """
    browser, carrier = record["browser"], record["carrier"]
    assert browser["frames_in"] == len(spoken), "frames are lost on the way"
    assert carrier["frames_out"] == browser["frames_in"] - browser["frames_dropped"]
    places = [place for frame in spoken if (place := heard.find(frame)) >= 0]
    assert browser["frames_dropped"] <= len(spoken) - len(places)
    assert places == sorted(places), "frames are out of order"
    assert all(heard.count(frame) <= 1 for frame in spoken), "a frame is repeated"


async def test_a_call_is_answered_heard_counted_and_recorded(world: World, customer: Customer):
    spoken = speech(75)
    async with customer.call() as phone:
        ready = await phone.wait("ready")
        await phone.wait("ringing")
        ringback = await phone.wait_frames(5)
        assert all(len(frame) == 160 for frame in ringback)
        accepted = await phone.wait("accept")
        assert accepted["at"].endswith("Z")
        # The line is judged as soon as both are joined.
        await phone.wait("sample")
        mark = len(phone.frames)
        await phone.speak(spoken)
        await phone.wait("cost", where=lambda e: e["seconds"] >= 1)
        await phone.send(type="hangup")
        ended = await phone.wait("disconnect")
        assert await phone.wait_closed() == 1000
    assert (ended["cause"], ended["ended_by"]) == (16, "caller")
    record = await customer.record(ready["call_id"])
    assert record["cost"]["micros"] == ended["cost"]["micros"] > 0
    assert record["carrier_seconds"] is not None
    assert_heard(spoken, b"".join(phone.frames[mark:]), record)
    assert await customer.balance() == 10_000_000 - record["cost"]["micros"]
    order = [k for k in phone.kinds() if k in ("ready", "ringing", "accept", "disconnect")]
    assert order == ["ready", "ringing", "accept", "disconnect"]


@pytest.mark.thorough
async def test_wide_audio_is_converted_both_ways(customer: Customer):
    frame = b"".join(
        int(6000 * (-1) ** (i // 8)).to_bytes(2, "little", signed=True) for i in range(320)
    )
    async with customer.call(codec="pcm16") as phone:
        await phone.wait("accept")
        mark = len(phone.frames)
        await phone.speak([frame] * 50)
        await phone.send(type="hangup")
        await phone.wait("disconnect")
    assert all(len(frame) == 640 for frame in phone.frames)
    loud = [f for f in phone.frames[mark:] if max(f[1::2]) not in (0, 255)]
    assert len(loud) > 20


@pytest.mark.thorough
async def test_a_call_that_fails_says_why_and_costs_nothing(customer: Customer):
    async with customer.call(BUSY) as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("tone", where=lambda e: e["name"] == "busy")
        ended = await phone.wait("disconnect")
        assert len(phone.frames) > 20, "the tone is not heard"
    assert (ended["cause"], ended["ended_by"]) == (17, "callee")
    record = await customer.record(call_id)
    assert record["cost"]["micros"] == 0
    assert record["answered_at"] is None
    assert await customer.balance() == 10_000_000


@pytest.mark.thorough
async def test_a_program_ends_a_call(customer: Customer):
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        assert (await customer.http.delete(f"/v1/calls/{call_id}")).status_code == 202
        assert (await phone.wait("disconnect"))["ended_by"] == "operator"
    await customer.record(call_id)
    again = await customer.http.delete(f"/v1/calls/{call_id}")
    assert (again.status_code, again.json()["code"]) == (409, "call_ended")


@pytest.mark.thorough
async def test_calls_are_listed_newest_first_and_in_pages(customer: Customer):
    ids = []
    for _ in range(3):
        async with customer.call() as phone:
            ids.append((await phone.wait("ready"))["call_id"])
            await phone.wait("accept")
            await phone.send(type="hangup")
            await phone.wait("disconnect")
        await customer.record(ids[-1])
    listed = (await customer.http.get("/v1/calls", params={"limit": 2})).json()
    assert [c["id"] for c in listed["calls"]] == [ids[2], ids[1]]
    rest = await customer.http.get("/v1/calls", params={"before": listed["next"]})
    assert [c["id"] for c in rest.json()["calls"]] == [ids[0]]
    assert rest.json()["next"] is None


@pytest.mark.thorough
async def test_a_hold_is_never_a_cost(world: World, customer: Customer):
    """From the first ring to the written record, no answer shows more than what was used."""
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        account = (await customer.http.get("/v1/account")).json()
        assert account["balance"]["micros"] == 10_000_000
        await phone.wait("cost", where=lambda e: e["seconds"] >= 1)
        ended = await phone.hang_up()
    shown = []
    while not shown or shown[-1]["state"] != "ended":
        reply = await customer.http.get(f"/v1/calls/{call_id}")
        assert reply.status_code == 200
        shown.append(reply.json())
        await asyncio.sleep(0.01)
    assert {call["state"] for call in shown} <= {"settling", "ended"}
    for call in shown:
        assert call["cost"] == (ended["cost"] if call["state"] == "ended" else None)
