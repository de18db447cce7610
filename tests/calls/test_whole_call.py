"""A call as it should go: every event, every byte, every cent."""

import asyncio
import random

import pytest

from tests.calls.world import ECHO, SILENT_FRAME, Customer, World, eventually


def speech(count: int, seed: int = 1) -> list[bytes]:
    """Frames that are all different, so that each can be recognised."""
    source = random.Random(seed)
    return [bytes(source.randrange(0x40, 0x60) for _ in range(160)) for _ in range(count)]


def assert_heard(spoken: list[bytes], heard: bytes) -> None:
    """What is said since the media stream began must be heard, once, in order.

    The stream begins shortly after the answer; what is said before it reaches nobody. Of what comes
    late on a busy machine a little is concealed.
    """
    first = next(i for i, frame in enumerate(spoken) if frame in heard)
    assert first < len(spoken) // 3
    places = [heard.find(frame) for frame in spoken[first:]]
    whole = [place for place in places if place >= 0]
    assert len(whole) >= 0.9 * len(places), "frames are lost"
    assert whole == sorted(whole), "frames are out of order"
    assert all(heard.count(frame) <= 1 for frame in spoken[first:]), "a frame is repeated"


def count_unheard(spoken: list[bytes], heard: bytes) -> int:
    """Return how many frames were not heard as they were spoken."""
    return sum(frame not in heard for frame in spoken)


async def test_a_call_is_answered_heard_counted_and_recorded(world: World, customer: Customer):
    spoken = speech(75)
    async with customer.call() as phone:
        ready = await phone.wait("ready")
        await phone.wait("ringing")
        ringback = await phone.wait_frames(5)
        assert all(len(frame) == 160 for frame in ringback)
        accepted = await phone.wait("accept")
        assert accepted["at"].endswith("Z")
        mark = len(phone.frames)
        await phone.speak(spoken)
        await phone.wait("cost", where=lambda e: e["seconds"] >= 1)
        await phone.send(type="hangup")
        ended = await phone.wait("disconnect")
        assert await phone.wait_closed() == 1000
    heard = b"".join(phone.frames[mark:])
    assert_heard(spoken[:-5], heard)
    assert (ended["cause"], ended["ended_by"]) == (16, "caller")
    record = await customer.record(ready["call_id"])
    assert record["cost"]["micros"] == ended["cost"]["micros"] > 0
    assert record["carrier_seconds"] is not None
    assert record["browser"]["frames_dropped"] <= count_unheard(spoken, heard)
    assert await customer.balance() == 10_000_000 - record["cost"]["micros"]
    order = [k for k in phone.kinds() if k in ("ready", "ringing", "accept", "disconnect")]
    assert order == ["ready", "ringing", "accept", "disconnect"]


async def test_the_phone_hears_each_byte_in_order(world: World, customer: Customer):
    spoken = speech(50, seed=2)
    async with customer.call("+15005551009") as phone:
        await phone.wait("accept")
        await phone.speak(spoken)
        call_id = phone.events[0]["call_id"]
        live = (await customer.http.get(f"/v1/calls/{call_id}")).json()
        assert live["state"] == "live"
        sid = live["carrier_call_id"]

        await eventually(lambda: heard_contains(world, sid, spoken[-5:]))
        assert_heard(spoken[:-5], await world.carrier_get(f"/calls/{sid}/heard"))
        await phone.send(type="hangup")
        await phone.wait("disconnect")


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


async def test_keys_are_heard_at_the_phone_and_from_it(world: World, customer: Customer):
    async with customer.call("+15005551008") as phone:
        await phone.wait("accept")
        assert (await phone.wait("dtmf"))["digit"] in "0123456789*#"
        await phone.send(type="dtmf", digits="5")
        call_id = phone.events[0]["call_id"]
        sid = (await customer.http.get(f"/v1/calls/{call_id}")).json()["carrier_call_id"]

        async def tone_heard():
            heard = await world.carrier_get(f"/calls/{sid}/heard")
            return len(heard) - heard.count(0xFF) - heard.count(0x7F) > 600

        await eventually(tone_heard)
        await phone.send(type="hangup")
        await phone.wait("disconnect")


async def test_mute_keeps_the_voice_from_the_phone(world: World, customer: Customer):
    async with customer.call("+15005551009") as phone:
        await phone.wait("accept")
        await phone.send(type="mute", muted=True)
        assert (await phone.wait("mute"))["muted"] is True
        await phone.speak(speech(20, seed=3))
        await phone.send(type="mute", muted=False)
        await phone.wait("mute", where=lambda e: not e["muted"])
        audible = speech(20, seed=4)
        await phone.speak(audible)
        sid = await self_sid(customer, phone)
        await eventually(lambda: heard_contains(world, sid, audible[-5:]))
        assert speech(20, seed=3)[0] not in await world.carrier_get(f"/calls/{sid}/heard")
        await phone.send(type="hangup")
        await phone.wait("disconnect")


async def test_hold_parts_the_two_and_plays_a_tone_to_the_phone(world: World, customer: Customer):
    async with customer.call("+15005551001") as phone:
        await phone.wait("accept")
        await phone.wait_frames(20)
        await phone.send(type="hold", held=True)
        assert (await phone.wait("hold"))["held"] is True
        sid = await self_sid(customer, phone)
        before = await world.carrier_get(f"/calls/{sid}/heard")
        mark = len(phone.frames)
        await phone.speak(speech(40, seed=5))
        assert len(phone.frames) - mark <= 2, "the caller hears the phone while it is held"
        heard = (await world.carrier_get(f"/calls/{sid}/heard"))[len(before) :]
        assert speech(40, seed=5)[10] not in heard
        assert len(set(heard)) > 4, "the phone hears no tone"
        await phone.send(type="hold", held=False)
        await phone.wait("hold", where=lambda e: not e["held"])
        await phone.wait_frames(mark + 20)
        await phone.send(type="hangup")
        await phone.wait("disconnect")


@pytest.mark.parametrize(
    ("number", "cause", "ended_by", "tone"),
    [
        ("+15005551004", 17, "callee", "busy"),
        ("+15005551006", 1, "carrier", "congestion"),
        ("+15005550002", 1, "carrier", "congestion"),
    ],
)
async def test_a_call_that_fails_says_why_and_costs_nothing(
    customer: Customer, number: str, cause: int, ended_by: str, tone: str
):
    async with customer.call(number) as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("tone", where=lambda e: e["name"] == tone)
        ended = await phone.wait("disconnect")
        assert len(phone.frames) > 20, "the tone is not heard"
    assert (ended["cause"], ended["ended_by"]) == (cause, ended_by)
    record = await customer.record(call_id)
    assert record["cost"]["micros"] == 0
    assert record["answered_at"] is None
    assert await customer.balance() == 10_000_000


async def test_the_caller_gives_up_before_the_answer(world: World, customer: Customer):
    async with customer.call("+15005551011") as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("ringing")
        await phone.send(type="hangup")
        ended = await phone.wait("cancel")
    assert ended["name"] == "ORIGINATOR_CANCEL"
    record = await customer.record(call_id)
    assert record["cost"]["micros"] == 0
    state = await world.carrier_get(f"/calls/{record['carrier_call_id']}")
    assert state["status"] in ("canceled", "completed", "no-answer")


async def test_the_phone_hangs_up(customer: Customer):
    async with customer.call("+15005551007") as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        ended = await phone.wait("disconnect", 20)
    assert (ended["cause"], ended["ended_by"]) == (16, "callee")
    record = await customer.record(call_id)
    assert abs(record["seconds"] - record["carrier_seconds"]) <= 1


async def test_a_closed_tab_ends_the_call(world: World, customer: Customer):
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        phone.ws.transport.abort()
    record = await customer.record(call_id)
    assert record["ended_by"] == "caller"
    state = await world.carrier_get(f"/calls/{record['carrier_call_id']}")
    assert state["status"] == "completed"


async def test_a_program_ends_a_call(customer: Customer):
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        assert (await customer.http.delete(f"/v1/calls/{call_id}")).status_code == 202
        assert (await phone.wait("disconnect"))["ended_by"] == "operator"
    await customer.record(call_id)
    again = await customer.http.delete(f"/v1/calls/{call_id}")
    assert (again.status_code, again.json()["code"]) == (409, "call_ended")


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


async def test_the_carrier_has_nothing_to_complain_of(world: World, customer: Customer):
    async with customer.call(ECHO) as phone:
        await phone.wait("accept")
        await phone.speak([SILENT_FRAME] * 20)
        await phone.send(type="hangup")
        await phone.wait("disconnect")
        call_id = phone.events[0]["call_id"]
    await customer.record(call_id)
    complaints = await world.carrier_get("/debugger")
    ours = [c for c in complaints["entries"] if c["code"] in (31930, 31931, 31941, 31950, 31951)]
    assert ours == []


async def self_sid(customer: Customer, phone) -> str:
    """Return the carrier's id of the phone's call."""
    call_id = phone.events[0]["call_id"]
    return (await customer.http.get(f"/v1/calls/{call_id}")).json()["carrier_call_id"]


async def heard_contains(world: World, sid: str, frames: list[bytes]) -> bool:
    """Say whether the phone has come to the end of these: a busy machine conceals some."""
    heard = await world.carrier_get(f"/calls/{sid}/heard")
    return frames[-1] in heard or sum(frame in heard for frame in frames) >= 2


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
        assert reply.status_code in (200, 404)
        if reply.status_code == 200:
            shown.append(reply.json())
        await asyncio.sleep(0.01)
    assert {call["state"] for call in shown} <= {"settling", "ended"}
    for call in shown:
        assert call["cost"] == (ended["cost"] if call["state"] == "ended" else None)
