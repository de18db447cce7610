"""HTTP and media on one port, through uvicorn itself."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from websockets.asyncio.client import connect

from gateway.ports import Acceptance, HandshakeRequest, Refusal
from gateway.sockets.engine import MediaEngine
from gateway.sockets.http_protocol import OnePortProtocol, is_media_request
from gateway.sockets.one_port import OnePortServer, create_server
from tests.gateway.sockets.socket_peers import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Clock,
    EchoLeg,
    Leg,
    Peer,
    close_frame,
    frame,
    handshake,
)

HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Site:
    """An application and an engine behind one server."""

    def __init__(self, clock: Clock, **options: Any) -> None:
        self.legs: list[Leg] = []
        self.lifespan: list[str] = []
        self.release = asyncio.Event()
        self.engine = MediaEngine(self._route, clock_ns=clock)
        self.peers: list[Peer] = []
        routes = [
            Route("/hello", self._hello),
            Route("/echo", self._echo, methods=["POST"]),
            Route("/slow", self._slow),
        ]
        app = Starlette(routes=routes, lifespan=self._live)
        options = {"host": "127.0.0.1", "port": 0, "grace_s": 3, **options}
        self.server = create_server(app, engine=self.engine, **options)

    def _route(self, request: HandshakeRequest) -> Acceptance | Refusal:
        if not request.path.endswith("/browser"):
            return Refusal(404, "No such media path.")
        self.legs.append(EchoLeg())
        return Acceptance(self.legs[-1].attach)

    async def _hello(self, request: Request) -> Response:
        return PlainTextResponse("hello")

    async def _echo(self, request: Request) -> Response:
        return Response(await request.body())

    async def _slow(self, request: Request) -> Response:
        await self.release.wait()
        return PlainTextResponse("slow")

    @asynccontextmanager
    async def _live(self, app: Starlette) -> AsyncIterator[None]:
        self.lifespan.append("up")
        yield
        self.lifespan.append("down")

    async def connect(self, data: bytes = b"") -> Peer:
        peer = await Peer.connect(self.server.port)
        self.peers.append(peer)
        peer.send(data)
        return peer

    async def leave(self) -> None:
        for peer in self.peers:
            await peer.leave()


@pytest.fixture
async def start(clock: Clock) -> AsyncIterator[Callable[..., Any]]:
    sites: list[Site] = []

    async def start_one(**options: Any) -> Site:
        site = Site(clock, **options)
        sites.append(site)
        await site.server.start()
        return site

    yield start_one
    for site in sites:
        await site.leave()
        await site.server.stop()
        assert not site.engine.connections
        assert not site.engine.watched
        assert not site.server.server_state.connections


# The first bytes.


@pytest.mark.parametrize(
    "path", ["/n/a/media/browser", "/n/node-17.x/media/", "/n/a/media/x?y HTTP/1.1"]
)
def test_media_requests_are_known_by_their_first_bytes(path):
    head = b"GET " + path.encode()
    assert is_media_request(head) is True
    decided = head.index(b"/media/") + len(b"/media/")
    assert [is_media_request(head[:end]) for end in range(decided)] == [None] * decided


@pytest.mark.parametrize(
    "head",
    [
        b"GET /",
        b"GET /hello HTTP/1.1",
        b"GET /n/a/twilio/status",
        b"GET /n/a/mediabrowser",
        b"GET /n/media/browser",
        b"GET /n//media/browser",
        b"GET /n/a?/media/x",
        b"GET /n/a HTTP/1.1\r\nX: /media/",
        b"GET /n/" + b"a" * 65,
        b"GET /n/" + b"a" * 65 + b"/media/x",
        b"POST /n/a/media/browser",
        b"GET  /n/a/media/x",
        b"get /n/a/media/x",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01",
    ],
)
def test_other_requests_are_left_to_http(head):
    expected = None if head == b"GET /" else False
    assert is_media_request(head) is expected


@given(st.binary(max_size=90).map(lambda tail: b"GET /n/" + tail))
def test_a_decision_is_never_taken_back(head):
    decisions = [is_media_request(head[:end]) for end in range(len(head) + 1)]
    firm = [decision for decision in decisions if decision is not None]
    assert len(set(firm)) <= 1
    assert decisions == [None] * (len(decisions) - len(firm)) + firm
    assert len(head) < 80 or firm


async def test_requests_and_media_share_the_port(start):
    site = await start()
    web = await site.connect(HELLO)
    status, headers, body = await web.response()
    assert (status, body) == (200, b"hello")
    assert "server" not in headers
    assert "date" in headers
    media = await site.connect(handshake() + frame(TEXT, b"one") + frame(PING))
    assert (await media.head())[0] == 101
    assert await media.frame() == (TEXT, b"one")
    assert await media.frame() == (PONG, b"")


async def test_a_media_handshake_may_come_in_any_pieces(start):
    site = await start()
    data = handshake() + frame(BINARY, b"x" * 160)
    for size in (1, 3, 7, 20):
        media = await site.connect()
        for at in range(0, len(data), size):
            media.send(data[at : at + size])
            await asyncio.sleep(0)
        assert (await media.head())[0] == 101
        assert await media.frame() == (BINARY, b"x" * 160)


async def test_an_ordinary_request_may_come_in_any_pieces(start):
    site = await start()
    for head in (HELLO, HELLO.replace(b"/hello", b"/n/a/hello")):
        web = await site.connect()
        for value in head:
            web.send(bytes((value,)))
            await asyncio.sleep(0)
        assert (await web.head())[0] == (200 if head == HELLO else 404)


async def test_media_may_follow_requests_on_a_kept_connection(start):
    site = await start()
    peer = await site.connect(HELLO)
    assert (await peer.response())[0] == 200
    peer.send(HELLO)
    assert (await peer.response())[0] == 200
    data = handshake() + frame(TEXT, b"a")
    peer.send(data[:5])
    await asyncio.sleep(0.01)
    peer.send(data[5:])
    assert (await peer.head())[0] == 101
    assert await peer.frame() == (TEXT, b"a")
    assert site.server.server_state.connections == site.engine.connections


async def test_an_unknown_media_path_is_the_routers_to_refuse(start):
    site = await start()
    peer = await site.connect(handshake("/n/a/media/nowhere"))
    status, headers, body = await peer.response()
    assert (status, body) == (404, b"No such media path.\n")
    assert headers["connection"] == "close"
    assert await peer.end() == b""


async def test_a_media_path_without_upgrade_is_answered_426(start):
    site = await start()
    peer = await site.connect(HELLO.replace(b"/hello", b"/n/a/media/browser"))
    status, headers, _ = await peer.response()
    assert (status, headers["upgrade"]) == (426, "websocket")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
async def test_other_methods_on_a_media_path_are_the_applications(start, method):
    site = await start()
    head = HELLO.replace(b"GET /hello", f"{method} /n/a/media/browser".encode())
    peer = await site.connect(head)
    assert (await peer.head())[0] == 404


@pytest.mark.parametrize("path", ["/hello", "http://localhost/n/a/media/browser"])
async def test_another_upgrade_is_the_last_request_of_its_connection(start, path, caplog):
    site = await start()
    peer = await site.connect(handshake(path))
    status, headers, _ = await peer.response()
    assert status == (200 if path == "/hello" else 404)
    assert headers["connection"] == "close"
    peer.send(HELLO)
    assert await peer.end() == b""
    assert caplog.records == []


@pytest.mark.parametrize("in_one_write", [True, False])
async def test_an_upgrade_behind_an_unanswered_request_waits_for_the_answer(start, in_one_write):
    site = await start()
    slow = HELLO.replace(b"/hello", b"/slow")
    peer = await site.connect(slow + handshake() if in_one_write else slow)
    await asyncio.sleep(0.01)
    if not in_one_write:
        peer.send(handshake())
        await asyncio.sleep(0.01)
    assert site.legs == []
    site.release.set()
    assert (await peer.response())[2] == b"slow"
    assert (await peer.head())[0] == 101
    peer.send(frame(TEXT, b"x"))
    assert await peer.frame() == (TEXT, b"x")


BODY = b"GET /n/a/media/ GET"
IN_FRONT = [
    HELLO,
    HELLO + HELLO,
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("in_front", IN_FRONT)
async def test_an_upgrade_behind_requests_has_one_answer_wherever_it_is_cut(start, in_front):
    site = await start()
    sent = in_front + handshake()
    last = len(in_front) + len(b"GET /n/a/media/browser HTTP/1.1\r\n")
    for cut in [0, *range(max(1, len(in_front) - 24), last)]:
        peer = await site.connect(sent[:cut])
        await asyncio.sleep(0.003)
        peer.send(sent[cut:] + frame(TEXT, b"x"))
        for _ in range(sent.count(b"Host: localhost") - 1):
            assert (await peer.response())[0] == 200, cut
        assert (await peer.head())[0] == 101, cut
        assert await peer.frame() == (TEXT, b"x"), cut
        await peer.leave()


async def test_what_only_looks_like_media_behind_a_request_is_the_applications(start):
    site = await start()
    other = HELLO.replace(b"/hello", b"/n/a/mediabrowser")
    for cut in range(len(HELLO), len(HELLO) + 20):
        peer = await site.connect((HELLO + other + HELLO)[:cut])
        await asyncio.sleep(0.003)
        peer.send((HELLO + other + HELLO)[cut:])
        assert [(await peer.response())[0] for _ in range(3)] == [200, 404, 200], cut


async def test_no_media_begins_behind_the_last_request_of_a_connection(start):
    site = await start()
    last = HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    peer = await site.connect(last + handshake())
    assert (await peer.response())[0] == 200
    assert await peer.end() == b""
    assert site.legs == []


async def test_a_client_that_leaves_before_its_upgrade_has_its_turn_leaves_nothing(start):
    site = await start()
    peer = await site.connect(HELLO.replace(b"/hello", b"/slow") + handshake())
    await asyncio.sleep(0.01)
    await peer.leave()
    site.release.set()
    async with asyncio.timeout(5):
        while site.engine.watched or site.engine.connections:
            await asyncio.sleep(0.01)


async def test_a_client_library_agrees(start):
    site = await start()
    url = f"ws://127.0.0.1:{site.server.port}/n/a/media/browser"
    async with connect(url, proxy=None) as client:
        await client.send(b"audio")
        assert await client.recv() == b"audio"
    assert client.close_code == 1000


# Bounds of requests.


async def test_a_body_is_read_whatever_its_pieces(start):
    site = await start()
    body = bytes(100_000)
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    for cut in (0, len(head) - 2, len(head), len(head) + 50_000):
        peer = await site.connect((head + body)[:cut])
        await asyncio.sleep(0.01)
        peer.send((head + body)[cut:])
        assert (await peer.response())[2] == body
        peer.send(HELLO)
        assert (await peer.response())[2] == b"hello"


@pytest.mark.parametrize("piece_bytes", [1000, 1 << 20])
@pytest.mark.parametrize("ended", [True, False])
async def test_a_huge_request_head_is_answered_431(start, piece_bytes, ended):
    site = await start()
    head = b"GET /hello HTTP/1.1\r\nX: " + b"a" * 40_000 + (b"\r\n\r\n" if ended else b"")
    peer = await site.connect()
    for at in range(0, len(head), piece_bytes):
        peer.send(head[at : at + piece_bytes])
        await asyncio.sleep(0)
    status, _, body = await peer.response()
    assert (status, body) == (431, b"The request is too large.\n")
    peer.send(b"a" * 1000)
    assert await peer.end() == b""


async def test_a_huge_head_behind_an_unanswered_request_drops_the_connection(start):
    site = await start()
    head = b"GET /hello HTTP/1.1\r\nX: " + b"a" * 40_000
    peer = await site.connect(HELLO.replace(b"/hello", b"/slow"))
    await asyncio.sleep(0.01)
    peer.send(head)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await peer.head()
    site.release.set()


async def test_the_bound_is_per_request(start):
    site = await start()
    peer = await site.connect()
    padded = HELLO.replace(b"\r\n\r\n", b"\r\nX: " + b"a" * 20_000 + b"\r\n\r\n")
    for _ in range(3):
        peer.send(padded)
        assert (await peer.response())[0] == 200


async def test_garbage_is_answered_400(start, caplog):
    site = await start()
    peer = await site.connect(b"\x16\x03\x01 nonsense\r\n\r\n")
    assert (await peer.response())[0] == 400
    caplog.clear()


@pytest.mark.parametrize("sent", [b"", b"GET /n/a/", b"GET /hello HT", HELLO[:-2], HELLO + b"GE"])
async def test_a_slow_request_is_dropped_at_its_deadline(start, clock, sent):
    site = await start()
    peer = await site.connect(sent[: len(HELLO)])
    if len(sent) > len(HELLO):
        assert (await peer.response())[0] == 200
        peer.send(sent[len(HELLO) :])
    await asyncio.sleep(0.02)
    site.engine.sweep(clock.advance(4.9))
    await asyncio.sleep(0)
    assert len(site.engine.watched) == 1
    site.engine.sweep(clock.advance(0.1))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await peer.head()
    assert site.engine.counters.late == 1


async def test_a_body_that_stalls_is_answered_408(start, clock):
    site = await start()
    head = HELLO.replace(b"GET /hello", b"POST /echo")
    peer = await site.connect(head[:-2] + b"Content-Length: 5\r\n\r\n12")
    await asyncio.sleep(0.02)
    site.engine.sweep(clock.advance(10))
    status, head, body = await peer.response()
    assert (status, body) == (
        408,
        b"The rest of the request did not come in time. Send it again.\n",
    )
    assert head["connection"] == "close"
    assert await peer.end() == b""


async def test_an_idle_kept_connection_and_a_slow_answer_are_not_late(start, clock):
    site = await start()
    idle = await site.connect(HELLO)
    assert (await idle.response())[0] == 200
    waiting = await site.connect(HELLO.replace(b"/hello", b"/slow"))
    await asyncio.sleep(0.01)
    site.engine.sweep(clock.advance(20))
    idle.send(HELLO)
    assert (await idle.response())[0] == 200
    site.release.set()
    assert (await waiting.response())[2] == b"slow"


async def test_an_idle_kept_connection_is_closed_by_its_timer(start):
    site = await start(keep_alive_s=0)
    peer = await site.connect(HELLO)
    assert (await peer.response())[0] == 200
    assert await peer.end() == b""


# Start and stop.


async def test_start_binds_and_stop_lets_go(clock):
    site = Site(clock)
    await site.server.start()
    port = site.server.port
    assert port > 0
    assert site.lifespan == ["up"]
    await site.server.stop()
    await site.server.stop()
    assert site.lifespan == ["up", "down"]
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_a_server_never_started_can_be_stopped(clock):
    await Site(clock).server.stop()


async def test_a_taken_port_is_an_oserror(start, clock):
    site = await start()
    with pytest.raises(OSError, match="in use"):
        await Site(clock, port=site.server.port).server.start()


async def test_an_application_that_refuses_to_start_is_an_error(clock):
    @asynccontextmanager
    async def broken(app: Starlette) -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    engine = MediaEngine(lambda _: Refusal(404, "No."), clock_ns=clock)
    app = Starlette(lifespan=broken)
    server = create_server(app, engine=engine, host="127.0.0.1", port=0)
    with pytest.raises(RuntimeError):
        await server.start()


async def test_stop_closes_media_and_finishes_responses(clock):
    site = Site(clock)
    await site.server.start()
    media = await site.connect(handshake())
    assert (await media.head())[0] == 101
    idle = await site.connect(HELLO)
    assert (await idle.response())[0] == 200
    working = await site.connect(HELLO.replace(b"/hello", b"/slow"))
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(site.server.stop())
    assert await media.frame() == (CLOSE, b"\x03\xe9")
    media.send(close_frame(1001))
    assert await media.end() == b""
    assert site.legs[0].events == [("close", 1001)]
    assert await idle.end() == b""
    site.release.set()
    assert (await working.response())[2] == b"slow"
    await stopping
    assert site.lifespan == ["up", "down"]
    await site.leave()


async def test_stop_drops_media_that_does_not_answer(clock):
    site = Site(clock, grace_s=1)
    await site.server.start()
    media = await site.connect(handshake())
    assert (await media.head())[0] == 101
    await site.server.stop()
    assert await site.legs[0].wait(1) == [("close", 1006)]
    assert not site.engine.connections
    await site.leave()


async def test_signals_are_left_to_the_caller(clock):
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with Site(clock).server.capture_signals():
        assert signal.getsignal(signal.SIGTERM) is before


# What of uvicorn is relied on.


def test_uvicorn_still_has_the_parts_that_one_port_builds_on():
    """If this fails, uvicorn has changed inside: read http_protocol.py against its new sources."""
    overridden = {
        "data_received": ["data"],
        "on_message_begin": [],
        "on_url": ["url"],
        "on_header": ["name", "value"],
        "on_headers_complete": [],
        "on_body": ["body"],
        "on_message_complete": [],
        "on_response_complete": [],
        "timeout_keep_alive_handler": [],
        "pause_writing": [],
        "resume_writing": [],
        "shutdown": [],
        "_unset_keepalive_if_required": [],
        "connection_made": ["transport"],
        "connection_lost": ["exc"],
    }
    for name, parameters in overridden.items():
        signature = inspect.signature(getattr(HttpToolsProtocol, name))
        assert list(signature.parameters) == ["self", *parameters], name
    state = uvicorn.server.ServerState()
    config = uvicorn.Config(lambda: None, log_config=None, ws="none", interface="asgi3")
    protocol = HttpToolsProtocol(config, state, {}, asyncio.new_event_loop())
    try:
        assert protocol.connections is state.connections
        assert protocol.server_state is state
        assert protocol.cycle is None
        for name in ("parser", "transport", "app", "headers", "scope", "flow", "client"):
            assert hasattr(protocol, name), name
        assert protocol.pipeline == deque()
        protocol.on_message_begin()
        assert protocol.url == b""
        names = inspect.signature(RequestResponseCycle).parameters
        cycle = RequestResponseCycle(**dict.fromkeys(names))
        for name in ("keep_alive", "disconnected", "message_event"):
            assert hasattr(cycle, name), name
        assert not cycle.response_started
        assert not cycle.response_complete
        assert config.ws_protocol_class is None
    finally:
        protocol.loop.close()
    for name in ("startup", "shutdown"):
        assert list(inspect.signature(getattr(uvicorn.Server, name)).parameters) == [
            "self",
            "sockets",
        ]
    server = uvicorn.Server(config)
    with asyncio.Runner() as runner:
        server.lifespan = config.lifespan_class(config)
        runner.run(server.startup(sockets=[]))
    assert server.servers == []
    assert server.lifespan.state == {}
    assert list(inspect.signature(uvicorn.Server.main_loop).parameters) == ["self"]
    assert issubclass(OnePortProtocol, HttpToolsProtocol)
    assert issubclass(OnePortServer, uvicorn.Server)
