"""A connection that HTTP has authorised and gives away: to whom, when, and what stays."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.ports import Acceptance
from gateway.sockets.engine import MediaEngine
from gateway.sockets.event_stream import EventStream
from gateway.sockets.http_protocol import OnePortProtocol
from gateway.sockets.one_port import create_server
from gateway.sockets.stream import HAND_OVER
from gateway.sockets.tls import ServerTls
from tests.certificates import Authority
from tests.gateway.sockets.framings import HELLO
from tests.gateway.sockets.memory_port import PASSES, House, Transport
from tests.gateway.sockets.socket_peers import Clock, EchoLeg, Peer, handshake

FEED = HELLO.replace(b"/hello", b"/feed")
SLOW = HELLO.replace(b"/hello", b"/slow-feed")
LONG_S = 3_600


class Handing(Response):
    """Gives its connection to a stream, and says where that cannot be."""

    def __init__(self, streams: list[EventStream], tries: list[bool]) -> None:
        super().__init__()
        self.streams, self.tries = streams, tries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = EventStream()
        self.tries.append(scope["extensions"][HAND_OVER](stream))
        if self.tries[-1]:
            self.streams.append(stream)
            # A second time there is nothing to give.
            assert not scope["extensions"][HAND_OVER](EventStream())
            stream.send(b"data: hello\n\n")
        else:
            await Response(status_code=409)(scope, receive, send)


class Site:
    """A server that gives connections away."""

    def __init__(self, clock: Clock, tls: ServerTls | None) -> None:
        self.streams: list[EventStream] = []
        self.tries: list[bool] = []
        self.release = asyncio.Event()
        self.legs: list[EchoLeg] = []
        self.engine = MediaEngine(self._route, None, clock)
        routes = [
            Route("/hello", self._hello),
            Route("/feed", self._feed, methods=["GET", "POST"]),
            Route("/slow-feed", self._slow),
        ]
        self.server = create_server(
            Starlette(routes=routes),
            engine=self.engine,
            host="127.0.0.1",
            port=0,
            tls=tls,
            grace_s=3,
        )

    def _route(self, _request: object) -> Acceptance:
        self.legs.append(EchoLeg())
        return Acceptance(self.legs[-1].attach)

    async def _hello(self, _request: Request) -> Response:
        return PlainTextResponse("hello")

    async def _feed(self, _request: Request) -> Response:
        return Handing(self.streams, self.tries)

    async def _slow(self, request: Request) -> Response:
        await self.release.wait()
        return await self._feed(request)

    async def until_tried(self) -> None:
        async with asyncio.timeout(5):
            while not self.tries:
                await asyncio.sleep(0.002)


Connect = Callable[[bytes], Awaitable[Peer]]


@pytest.fixture(params=["plain", "tls"])
async def site(
    request: pytest.FixtureRequest, clock: Clock, authority: Authority, tmp_path: Path
) -> AsyncIterator[tuple[Site, Connect]]:
    tls = ServerTls(*authority.issue(tmp_path)) if request.param == "tls" else None
    site = Site(clock, tls)
    client = None if tls is None else authority.client()
    await site.server.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(site.server.stop)

        async def connect(data: bytes) -> Peer:
            peer = await Peer.connect(site.server.port, client)
            stack.push_async_callback(peer.leave)
            peer.send(data)
            return peer

        yield site, connect
        for stream in site.streams:
            stream.abort()


async def hello_of(peer: Peer) -> None:
    status, _ = await peer.head()
    assert status == 200
    async with asyncio.timeout(5):
        assert await peer.reader.readexactly(13) == b"data: hello\n\n"


async def test_a_connection_that_is_given_away_is_the_streams(
    site: tuple[Site, Connect], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    house, connect = site
    peer = await connect(FEED)
    await hello_of(peer)
    (stream,) = house.streams
    assert not house.server.server_state.connections
    assert not house.engine.watched
    house.engine.sweep(clock.advance(LONG_S))
    peer.send(HELLO)
    await asyncio.sleep(0.02)
    stream.send(b"data: still here\n\n")
    stream.close()
    assert await peer.end() == b"data: still here\n\n", "and no answer of HTTP among it"
    await asyncio.sleep(0.02)
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_an_earlier_answer_on_the_same_connection_is_complete(
    site: tuple[Site, Connect],
) -> None:
    house, connect = site
    peer = await connect(HELLO)
    assert (await peer.response())[2] == b"hello"
    peer.send(FEED)
    await hello_of(peer)
    assert house.tries == [True]


@pytest.mark.parametrize("behind", [HELLO, HELLO[:9], b"G", handshake(), handshake()[:20]])
async def test_with_a_request_behind_nothing_is_given_away(
    site: tuple[Site, Connect], behind: bytes
) -> None:
    """Its answer would have nowhere to go."""
    house, connect = site
    peer = await connect(FEED + behind)
    status, _, _ = await peer.response()
    assert (status, house.tries) == (409, [False])
    if behind == HELLO:
        assert (await peer.response())[2] == b"hello"
    if behind == handshake():
        assert (await peer.head())[0] == 101


async def test_a_request_whose_body_is_still_to_come_gives_nothing_away(
    site: tuple[Site, Connect],
) -> None:
    house, connect = site
    head = FEED.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n")
    peer = await connect(head + b"12")
    assert (await peer.head())[0] == 409
    assert house.tries == [False]


@pytest.mark.parametrize("how", ["leaves", "resets"])
async def test_to_a_peer_that_is_gone_nothing_is_given(
    site: tuple[Site, Connect], how: str
) -> None:
    house, connect = site
    peer = await connect(SLOW)
    async with asyncio.timeout(5):
        while not house.server.server_state.tasks:
            await asyncio.sleep(0.002)
    if how == "leaves":
        await peer.leave()
    else:
        peer.reset()
    async with asyncio.timeout(5):
        while house.server.server_state.connections:
            await asyncio.sleep(0.002)
    house.release.set()
    await house.until_tried()
    assert house.tries == [False]


@pytest.mark.thorough
async def test_a_hundred_who_read_nothing_hold_nobody_up(site: tuple[Site, Connect]) -> None:
    house, connect = site
    for _ in range(100):
        peer = await connect(FEED)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        while len(house.streams) < 100:
            await asyncio.sleep(0.005)
    text = b"x" * 8_000_000
    for stream in house.streams:
        stream.send(text)
    assert all(stream.is_behind for stream in house.streams)
    kept = [stream._transport.get_write_buffer_size() for stream in house.streams]
    assert max(kept) < 1 << 19, "the text is there once"
    other = await connect(HELLO)
    assert (await other.response())[2] == b"hello"
    async with asyncio.timeout(20):
        await house.server.stop()


# On a transport in memory.


class OneOwner(Transport):
    """A transport that can be given to another protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high


async def given(house: House) -> tuple[OneOwner, weakref.ref[OnePortProtocol]]:
    """Give a connection away; return its transport, and the protocol that gave it."""
    streams: list[EventStream] = []

    async def feed(_request: Request) -> Response:
        return Handing(streams, [])

    house.config.loaded_app = Starlette(routes=[Route("/feed", feed)])
    protocol, transport = house.port(), OneOwner()
    transport.protocol = protocol
    protocol.connection_made(transport)
    protocol.data_received(FEED)
    assert len(house.engine.strangers) == 1
    for _ in range(PASSES):
        await asyncio.sleep(0)
    assert transport.protocol is streams.pop()
    assert bytes(transport.sent).endswith(b"data: hello\n\n")
    return transport, weakref.ref(protocol)


def streams_left() -> int:
    """Count streams, which have no weak references."""
    return sum(type(each) is EventStream for each in gc.get_objects())


@pytest.mark.thorough
async def test_what_gave_a_connection_away_leaves_nothing_to_a_full_collection() -> None:
    house = House()
    gc.collect()
    gc.disable()
    try:
        before = streams_left()
        transport, protocol = await given(house)
        assert protocol() is None
        assert not house.state.connections
        assert streams_left() == before + 1
        transport.protocol.connection_lost(None)
        transport.protocol = None
        assert streams_left() == before
    finally:
        gc.enable()


async def test_a_viewer_is_no_stranger_any_more_and_has_no_deadline() -> None:
    house = House()
    transport, _ = await given(house)
    assert len(house.engine.strangers) == 0
    transport.pause_reading()
    house.engine.sweep(house.clock.advance(LONG_S))
    assert not transport.is_closed
