"""Media sockets against peers that break the protocol, stall, or are not who they claim to be."""

import asyncio
import contextlib
import json
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest
import websockets

from tests.calls.stand_in import (
    STREAM_SID,
    StandIn,
    close_code,
    media_socket,
    sign,
    start_message,
    start_stream,
)
from tests.calls.world import Customer, Phone, World, eventually

Act = Callable[[Phone], Awaitable[None]]


def saying(text: str | bytes) -> Act:
    """Return what sends a text message; bytes are sent as they are."""
    return lambda phone: phone.ws.send(text, text=True)


async def flood(phone: Phone) -> None:
    """Send far more control messages than a person could."""
    for number in range(120):
        await phone.send(type="ping", id=number)


async def fragments(phone: Phone) -> None:
    """Send a message in pieces whose sum is too long."""
    await phone.ws.send(["x" * 4000] * 8)


OPENINGS: list[tuple[Act, str | None, int]] = [
    (saying("not JSON"), "bad_message", 4400),
    (saying("[1]"), "bad_message", 4400),
    (saying("[" * 3000), "bad_message", 4400),
    (saying('{"type":"sing"}'), "bad_message", 4400),
    (saying('{"type":"hangup"}'), "bad_message", 4400),
    (saying('{"type":"start","version":1}'), "bad_message", 4400),
    (saying('{"type":"start","version":2,"token":"x"}'), "bad_message", 4400),
    (saying(json.dumps({"type": "start", "version": 1, "token": "x" * 257})), "bad_message", 4400),
    (saying("x" * 15_500), "bad_message", 1009),
    (saying("x" * 1_000_000), None, 1009),
    (fragments, None, 1009),
    (saying(b"\xff\xfe\xfd"), None, 1007),
    (flood, "message_flood", 4429),
]


async def test_a_socket_that_starts_wrong_is_told_and_closed(world: World, customer: Customer):
    url = (await customer.token())["media_url"]

    async def attempt(act: Act, code: str | None, close: int) -> None:
        async with customer.connect(url) as phone:
            with contextlib.suppress(websockets.ConnectionClosed):
                await act(phone)
            assert await phone.wait_closed() == close
            errors = [e["code"] for e in phone.events if e["type"] == "error"]
            assert errors == ([code] if code else [])

    await asyncio.gather(*(attempt(*opening) for opening in OPENINGS))
    await customer.ordinary_call()


DISTURBANCES: list[tuple[Act, int]] = [
    (saying("not JSON"), 4400),
    (saying('{"type":"mute"}'), 4400),
    (saying('{"type":"dtmf","digits":"W"}'), 4400),
    (saying('{"type":"start","version":1,"token":"again"}'), 4400),
    (saying("x" * 1_000_000), 1009),
    (saying(b"\xc3\x28"), 1007),
    (lambda phone: phone.ws.send(bytes(159)), 4400),
    (lambda phone: phone.ws.send(bytes(320)), 4400),
    (flood, 4429),
]


async def disturb(world: World, customer: Customer, act: Act, code: int) -> None:
    """Break the protocol in mid-call: that ends the call, which is charged as it was."""
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        # Those of the phone, after those of the ringing tone.
        await phone.wait_frames(len(phone.frames) + 5)
        with contextlib.suppress(websockets.ConnectionClosed):
            await act(phone)
        assert await phone.wait_closed() == code
    record = await customer.record(call_id)
    assert record["ended_by"] == "caller"
    assert record["cost"]["micros"] == 1000 * record["seconds"] > 0
    state = await world.carrier_get(f"/calls/{record['carrier_call_id']}")
    assert state["status"] == "completed"


async def vanish(customer: Customer) -> None:
    """Keep the socket open but read nothing any more, so that no ping is answered."""
    begun = time.monotonic()
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait_frames(20)
        phone.ws.transport.pause_reading()
        paused = time.monotonic()
        record = await customer.record(call_id)
        over = time.monotonic()
        # Pinged after five seconds of silence, and given up five later.
        assert over - begun >= 10
        assert 8 < over - paused < 15
        assert record["ended_by"] == "caller"
        assert record["seconds"] <= 15
        phone.ws.transport.abort()


@pytest.fixture
def descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_sockets_that_say_nothing_keep_neither_caller_nor_carrier_out(
    world: World, customer: Customer, descriptors: None
):
    """More than there may be calls, and more than one address may hold."""
    token = await customer.token()
    parts = urlsplit(token["media_url"])
    path = parts.path.encode()
    opening = (
        b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % path
    )
    said = [opening, opening, opening[:40], opening.replace(b"/browser", b"/carrier")[:-2]]
    with contextlib.ExitStack() as silent:
        for n in range(1500):
            connection = socket.create_connection(
                ("127.0.0.1", parts.port or 80), timeout=20, source_address=("127.0.0.2", 0)
            )
            silent.enter_context(connection)
            with contextlib.suppress(OSError):
                connection.sendall(said[n % len(said)])
        await customer.ordinary_call()


async def test_a_caller_who_breaks_the_protocol_or_vanishes_loses_only_the_call(
    world: World, customer: Customer
):
    vanishing = asyncio.create_task(vanish(customer))
    for start in range(0, len(DISTURBANCES), 3):
        group = DISTURBANCES[start : start + 3]
        await asyncio.gather(*(disturb(world, customer, *d) for d in group))
    await vanishing
    await customer.ordinary_call()


# The carrier's side.


@pytest.fixture(scope="module")
def played_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose carrier the test plays."""
    # What comes between an answer and its stream takes a busy machine its time.
    world = World(tmp_path_factory.mktemp("played"), CALLER_STREAM_TIMEOUT_S="20").lay_tables()
    world.start_gateway()
    yield world
    world.stop()


@pytest.fixture
async def played(played_world: World) -> AsyncIterator[tuple[World, StandIn]]:
    """That gateway, and the test's carrier; when a test is over, the books must balance."""
    async with StandIn(played_world.carrier_port).serving() as carrier:
        yield played_world, carrier
        await played_world.assert_books_balance()


@contextlib.asynccontextmanager
async def answered(customer: Customer, carrier: StandIn):
    """Place a call and let it be answered, without a stream as yet."""
    async with customer.call() as phone:
        call = await carrier.next_call()
        await customer.carrier_call_id((await phone.wait("ready"))["call_id"])
        assert (await call.report("in-progress")).status_code == 204
        await phone.wait("accept")
        yield phone, call


async def assert_stream_refused(world: World, start: dict) -> None:
    """A stream with this beginning must be closed as none of ours."""
    async with media_socket(world) as ws:
        await start_stream(ws, start)
        assert await close_code(ws) == 1008


async def test_only_the_stream_of_the_call_is_joined(played: tuple[World, StandIn]):
    world, carrier = played
    customer = await world.new_customer()
    async with answered(customer, carrier) as (phone, call):
        sid, token = call.sid, call.token
        for wrong in (
            start_message(sid, "x"),
            start_message(sid, ""),
            start_message(sid, token + "x"),
            start_message(sid, "é"),
            start_message(sid, token.partition(".")[0] + "." + "y" * 32),
            start_message("CA" + "0" * 32, token),
            start_message(sid, token, accountSid="AC" + "0" * 32),
            start_message(sid, token, customParameters={}),
            start_message(sid, token, mediaFormat={"encoding": "audio/opus", "sampleRate": 48000}),
            start_message(sid, token) | {"streamSid": ""},
        ):
            await assert_stream_refused(world, wrong)
        async with media_socket(world) as ws:
            await start_stream(ws, start_message(sid, token))
            await ws.send(media(STREAM_SID))
            await phone.wait_frames(len(phone.frames) + 1)
            await assert_stream_refused(world, start_message(sid, token))
            assert phone.close_code is None
            ended = await phone.hang_up()
            assert await close_code(ws) == 1000
        assert ended["ended_by"] == "caller"
        await customer.record(ended["call_id"])
        await assert_stream_refused(world, start_message(sid, token))
    await customer.http.aclose()


def media(stream_sid: str) -> str:
    """Return a message with 20 ms of silence."""
    payload = "//" * 106 + "/w=="
    return json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}})


STREAM_FAULTS: list[tuple[str | bytes, int]] = [
    (media("MZ" + "0" * 32), 1008),
    (json.dumps({"event": "stop", "streamSid": "MZ" + "0" * 32}), 1008),
    (json.dumps(start_message("CA" + "1" * 32, "again")), 1008),
    ("not JSON", 1008),
    ('{"event":"media","streamSid":"' + STREAM_SID + '","media":{"payload":"%"}}', 1008),
    (b"\x00" * 160, 1003),
    ("x" * 1_000_000, 1009),
]


async def test_a_stream_that_breaks_the_protocol_ends_its_call(played: tuple[World, StandIn]):
    world, carrier = played
    customer = await world.new_customer()
    for message, code in STREAM_FAULTS:
        async with answered(customer, carrier) as (phone, call), media_socket(world) as ws:
            await start_stream(ws, start_message(call.sid, call.token))
            await ws.send(media(STREAM_SID))
            await phone.wait("accept")
            # What a later version of the protocol may add does no harm.
            await ws.send(json.dumps({"event": "weather", "streamSid": STREAM_SID, "sun": 1}))
            with contextlib.suppress(websockets.ConnectionClosed):
                await ws.send(message)
            assert await close_code(ws) == code, message[:60]
            ended = await phone.wait("disconnect")
            assert (ended["cause"], ended["ended_by"]) == (111, "carrier")
            record = await customer.record(ended["call_id"])
            assert record["cost"] == ended["cost"]
            assert call.status == "completed", "the carrier's leg goes on"
    await customer.http.aclose()


async def test_a_carrier_that_places_calls_oddly_is_understood(played: tuple[World, StandIn]):
    world, carrier = played
    customer = await world.new_customer()

    # The stream begins before placing the call has been answered.
    carrier.reply_status = 0
    async with customer.call() as phone:
        call = await carrier.next_call()
        async with media_socket(world) as ws:
            await start_stream(ws, start_message(call.sid, call.token))
            await phone.wait("accept")
            await phone.hang_up()
            assert await close_code(ws) == 1000
        record = await customer.record(phone.events[0]["call_id"])
        assert record["carrier_call_id"] == call.sid
        await eventually(partial(is_completed, call))

    # No answer at all, no callback, and nothing to be found.
    async with customer.call() as phone:
        await carrier.next_call()
        ended = await phone.wait("disconnect", 20)
        assert (ended["cause"], ended["ended_by"]) == (102, "carrier")
        assert (await customer.record(ended["call_id"]))["cost"]["micros"] == 0
    assert await customer.balance() == 10_000_000 - record["cost"]["micros"]
    await customer.http.aclose()


async def is_completed(call) -> bool:
    return call.status == "completed"


async def test_an_unsigned_stream_is_not_accepted(world: World):
    url = f"wss://127.0.0.1:{world.port}/n/{world.settings.node}/media/carrier"
    for headers in (
        {},
        {"X-Twilio-Signature": ""},
        {"X-Twilio-Signature": "x"},
        {"X-Twilio-Signature": "\u00e9"},
        sign(url + "/"),
        sign(url.replace("wss:", "ws:")),
        sign(url + "?a=b"),
    ):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with media_socket(world, headers):
                pass
        assert refused.value.response.status_code == 403


async def test_a_signed_socket_without_a_start_is_closed(world: World):
    async with media_socket(world) as silent, media_socket(world) as connected:
        await connected.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        assert await close_code(silent) == 1008
        assert await close_code(connected) == 1008
