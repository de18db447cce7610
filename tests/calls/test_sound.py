"""How a call sounds and what it survives: WebRTC, moves between the two ways, lost sockets, checks.

Real processes and sockets; the browser is a peer of the tests, the phone the simulated carrier's.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.calls.udp_phone import udp_phone
from tests.calls.world import SILENT_FRAME, Customer, Process, World, eventually
from tests.gateway.webrtc.peer import EVENT

pytestmark = pytest.mark.asyncio(loop_scope="module")

SILENT = "+15005551009"
TONE = "+15005551001"
RESUME_S = 4
WHOLE = 0.5
"""Frames that arrive whole, at least: on a busy machine many come late, and are concealed."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(
        tmp_path_factory.mktemp("sound"),
        CALLER_RESUME_S=str(RESUME_S),
        CALLER_ACCOUNT_CALLS_MAX="2",
    ).start()
    yield world
    world.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def customer(world: World) -> AsyncIterator[Customer]:
    customer = await world.new_customer()
    yield customer
    await customer.http.aclose()


def spoken(count: int, first: int = 1) -> list[bytes]:
    """Frames that are told apart, and from silence, by every byte."""
    return [bytes([index % 120 + 1]) * 160 for index in range(first, first + count)]


def intact(frames: list[bytes], stream: bytes) -> float:
    """Return the share of frames that a stream holds whole, wherever they begin."""
    return sum(frame in stream for frame in frames) / len(frames)


async def heard_by(customer: Customer, call_id: str) -> bytes:
    carrier_call_id = await customer.carrier_call_id(call_id)
    return await customer.world.carrier_get(f"/calls/{carrier_call_id}/heard")


async def stream_of(customer: Customer, call_id: str) -> dict[str, Any]:
    carrier_call_id = await customer.carrier_call_id(call_id)
    call = await customer.world.carrier_get(f"/calls/{carrier_call_id}")
    return call["streams"][0]


async def test_a_call_by_webrtc_carries_every_byte_both_ways(customer: Customer):
    async with customer.call() as phone, udp_phone() as udp:
        ready = await phone.wait("ready")
        assert ready["webrtc"]
        await udp.connect(phone)
        await udp.choose(phone)
        await phone.wait("accept")
        frames = spoken(100)
        await udp.speak(frames)

        async def echoed() -> bool:
            heard = b"".join(udp.heard)
            # Any of those behind what is judged: a single one may be repaired.
            return any(frame in heard for frame in frames[80:])

        await eventually(echoed)
        heard = await heard_by(customer, ready["call_id"])
        assert intact(frames[20:80], heard) > WHOLE
        assert intact(frames[20:80], b"".join(udp.heard)) > WHOLE
        # Even timestamps, one packet each 20 ms, none on the socket.
        stamps = [stamp for _, stamp, *_ in udp.peer.audio][-60:]
        assert {b - a for a, b in itertools.pairwise(stamps)} == {160}
        await phone.hang_up()
    record = await customer.record(ready["call_id"])
    assert record["browser"]["paths"] == ["webrtc"]
    assert record["browser"]["packets_lost"] == 0


async def test_keys_by_rfc_4733_are_heard_at_the_phone(customer: Customer):
    async with customer.call(SILENT) as phone, udp_phone() as udp:
        ready = await phone.wait("ready")
        await udp.connect(phone)
        await udp.choose(phone)
        await phone.wait("accept")
        await udp.speak([SILENT_FRAME] * 20)
        before = len(await heard_by(customer, ready["call_id"]))
        for end in (0x0A, 0x0A, 0x8A, 0x8A, 0x8A):
            duration = 800
            payload = bytes((5, end)) + duration.to_bytes(2, "big")
            udp.peer.send(udp.peer.packet(payload, EVENT, 0))

        async def keyed() -> bool:
            heard = (await heard_by(customer, ready["call_id"]))[before:]
            return sum(1 for byte in heard if byte & 0x7F < 0x50) > 400

        await eventually(keyed)
        await phone.hang_up()


async def test_packets_that_do_not_arrive_are_told_of_on_the_socket(customer: Customer):
    async with customer.call(SILENT) as phone, udp_phone() as udp:
        ready = await phone.wait("ready")
        await udp.connect(phone)
        await udp.choose(phone)
        await phone.wait("accept")
        await udp.speak(spoken(25))
        told = await phone.wait("stalled", where=lambda event: event["leg"] == "browser")
        assert told["stalled"]
        # An offer that is answered and not followed by a check does not bring the audio back.
        await udp.choose(phone, "websocket")
        await phone.send(type="offer", id=2, sdp=udp.peer.offer())
        await phone.wait("answer", where=lambda event: event["id"] == 2)
        phone.events[:] = [event for event in phone.events if event["type"] != "media"]
        await phone.send(type="media", path="webrtc")
        assert (await phone.wait("media"))["path"] == "websocket"
        frames = spoken(60, 30)
        await phone.speak(frames)

        async def heard() -> bool:
            return intact(frames[20:], await heard_by(customer, ready["call_id"])) > WHOLE

        await eventually(heard)
        await phone.hang_up()
    assert (await customer.record(ready["call_id"]))["browser"]["loss_percent"] > 0


async def test_a_session_that_ends_falls_back_to_the_socket(customer: Customer):
    async with customer.call(TONE) as phone, udp_phone() as udp:
        await phone.wait("ready")
        await udp.connect(phone)
        await udp.choose(phone)
        await phone.wait("accept")
        await udp.speak([SILENT_FRAME] * 10)
        udp.peer.say_bye()
        await phone.wait("media", where=lambda event: event["path"] == "websocket")
        phone.frames.clear()
        assert any(frame != SILENT_FRAME for frame in await phone.wait_frames(20))
        # Another peer connection of the same page.
        async with udp_phone() as again:
            await again.connect(phone, offer_id=2)
            await again.choose(phone)
            await again.speak([SILENT_FRAME] * 20)
            assert len(again.heard) > 10
        await phone.hang_up()


@pytest.mark.parametrize("sdp", ["", "v=0", "v=0\r\n" + "m=audio 9 RTP/AVP 0\r\n" * 100])
async def test_an_offer_that_cannot_be_taken_is_refused_and_the_call_goes_on(
    customer: Customer, sdp: str
):
    async with customer.call() as phone:
        await phone.wait("accept")
        await phone.send(type="offer", id=3, sdp=sdp)
        refused = await phone.wait("offer-refused")
        assert refused["id"] == 3
        assert refused["code"]
        await phone.speak(spoken(30))
        await phone.wait_frames(20)
        await phone.hang_up()


async def test_a_lost_socket_is_taken_up_and_the_phone_is_kept(customer: Customer):
    async with customer.call() as phone:
        ready = await phone.wait("ready")
        await phone.wait("accept")
        await phone.send(type="mute", muted=True)
        await phone.wait("mute")
        await phone.speak(spoken(20))
        phone.ws.transport.abort()
        await phone.wait_closed()
    before = len(await heard_by(customer, ready["call_id"]))

    async def comforted() -> bool:
        heard = (await heard_by(customer, ready["call_id"]))[before:]
        return len(set(heard)) > 3

    await eventually(comforted)
    url = f"ws://127.0.0.1:{customer.world.port}/n/n1/media/browser"
    async with customer.connect(url) as phone:
        token = ready["resume_token"]
        await phone.send(type="resume", version=1, call_id=ready["call_id"], token=token)
        again = await phone.wait("ready")
        assert again["call_id"] == ready["call_id"]
        assert again["resume_token"] != token
        await phone.wait("accept")
        assert (await phone.wait("mute"))["muted"]
        await phone.send(type="mute", muted=False)
        frames = spoken(60)
        await phone.speak(frames)
        await phone.wait_frames(40)
        assert intact(frames[15:35], b"".join(phone.frames)) > WHOLE
        # The token is good once.
        async with customer.connect(url) as thief:
            await thief.send(type="resume", version=1, call_id=ready["call_id"], token=token)
            assert (await thief.refused())[0] == "bad_resume"
        ended = await phone.hang_up()
        assert ended["ended_by"] == "caller"
    record = await customer.record(ready["call_id"])
    assert record["carrier_seconds"] >= 1
    await customer.world.assert_books_balance()


async def check_token(customer: Customer) -> dict[str, Any]:
    reply = await customer.http.post("/v1/check-tokens", json={})
    assert reply.status_code == 201, reply.text
    return reply.json()


@pytest.mark.parametrize("path", ["websocket", "webrtc"])
async def test_a_check_of_the_line_echoes_and_judges(customer: Customer, path: str):
    token = await check_token(customer)
    balance = await customer.balance()
    async with customer.connect(token["media_url"]) as phone, udp_phone() as udp:
        await phone.send(type="start", version=1, token=token["token"])
        assert (await phone.wait("check-ready"))["seconds"] == 5
        if path == "webrtc":
            await udp.connect(phone)
            await udp.choose(phone)
        frames = spoken(247)
        await (udp if path == "webrtc" else phone).speak(frames)
        result = await phone.wait("check-result")
        assert (result["verdict"], result["path"], result["action"]) == ("good", path, "")
        assert result["loss_percent"] == 0
        assert intact(frames, b"".join(udp.heard if path == "webrtc" else phone.frames)) > WHOLE
        assert await phone.wait_closed() == 1000
    assert await customer.balance() == balance
    assert (await customer.http.get("/v1/calls")).json()["calls"] == []


async def test_checks_of_one_account_are_few_at_once(customer: Customer):
    tokens = [await check_token(customer) for _ in range(3)]
    url = tokens[0]["media_url"]
    async with (
        customer.connect(url) as first,
        customer.connect(url) as second,
        customer.connect(url) as third,
    ):
        for phone, token in zip((first, second), tokens, strict=False):
            await phone.send(type="start", version=1, token=token["token"])
            await phone.wait("check-ready")
        await third.send(type="start", version=1, token=tokens[2]["token"])
        assert (await third.refused())[0] == "too_many_checks"


async def test_noise_on_the_udp_port_is_not_answered_and_disturbs_nobody(customer: Customer):
    async with customer.call() as phone, udp_phone() as udp, udp_phone() as stranger:
        await phone.wait("ready")
        await udp.connect(phone)
        await udp.choose(phone)
        await phone.wait("accept")
        stranger.peer.candidates = udp.peer.candidates
        real = udp.peer.packet(spoken(1)[0])
        answers: list[bytes] = []

        def receive(datagram: bytes) -> None:
            answers.append(datagram)

        stranger.peer.receive = receive
        for first in range(256):
            stranger.peer.send(bytes([first]) * 40)
            stranger.peer.send(bytes([first]) + real[1:])
        stranger.peer.send(udp.peer.check(password="wrong"))
        frames = spoken(60)
        await udp.speak(frames)
        assert intact(frames[15:45], b"".join(udp.heard)) > WHOLE
        assert answers == []
        await phone.hang_up()


async def test_a_udp_port_that_is_taken_is_named(world: World, tmp_path: Path):
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        other = World(tmp_path, carrier_port=world.carrier_port, CALLER_UDP_PORT=str(port))
        gateway = Process(["serve"], other.environ, tmp_path / "gateway.log")
        assert gateway.popen.wait(30) == 3
    told = gateway.log.read_text()
    assert f"UDP port {port}" in told
    assert "CALLER_UDP_PORT" in told
    assert "Traceback" not in told
