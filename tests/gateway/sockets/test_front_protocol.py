"""Two servers behind one port: connections go from the one that accepts to the owner of a request.

Both run on one loop; between them is the Unix socket that is between processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.ports import Acceptance, HandshakeRequest, Refusal
from gateway.sockets import front_protocol
from gateway.sockets.door import DATA_BYTES_MAX, NOT_TAKEN, TAKEN, NodeDoor, inbox_of
from gateway.sockets.engine import MediaEngine
from gateway.sockets.front_protocol import AWAY, MAY_BE_A_NODES, FrontProtocol, node_of
from gateway.sockets.inbox import Inbox
from gateway.sockets.one_port import Entrance, OnePortServer, create_server
from tests.gateway.sockets.socket_peers import Clock, EchoLeg, Peer, handshake

FOR_WEB = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
FOR_NODE = b"POST /n/one/hook HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
FOR_NODE_ALONE = FOR_NODE.replace(b"Host: a", b"Host: a\r\nConnection: close")
CALL = "/n/one/media/browser"


class Side:
    """One of the two processes."""

    def __init__(self, name: str, entrance: Entrance) -> None:
        self.clock = Clock()
        self.engine = MediaEngine(self._route, clock_ns=self.clock)
        self.name = name
        self.legs: list[EchoLeg] = []
        self.hosts: list[str] = []
        routes = [
            Route("/hello", self._say),
            Route("/large", self._say_much),
            Route("/n/{node}/hook", self._say, methods=["POST", "PUT"]),
        ]
        options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "grace_s": 1}
        self.server: OnePortServer = create_server(
            Starlette(routes=routes), engine=self.engine, entrance=entrance, **options
        )

    async def _say(self, request: Request) -> Response:
        assert request.client is not None
        self.hosts.append(request.client.host)
        body = (await request.body()).decode()
        return PlainTextResponse(f"{self.name} {body}")

    async def _say_much(self, _request: Request) -> Response:
        return PlainTextResponse("x" * 4_000_000)

    def _route(self, _request: HandshakeRequest) -> Acceptance | Refusal:
        if self.name != "node":
            return Refusal(404, "No media socket is served at this address.")
        self.legs.append(EchoLeg())
        return Acceptance(self.legs[-1].attach, is_authenticated=True)


class House:
    """A web side, and a node that can be taken away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.door = NodeDoor("one", inbox_of(folder, "one"))
        self.web = Side("web", Entrance(doors={"one": self.door}))
        self.node = self.new_node()

    def new_node(self) -> Side:
        return Side("node", Entrance(inbox=inbox_of(self.folder, "one")))

    async def open(self, host: str = "127.0.0.1") -> tuple[asyncio.StreamReader, Any]:
        port = self.web.server.port
        return await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))

    async def ask(self, data: bytes, host: str = "127.0.0.1") -> bytes:
        """Return all that comes until the connection ends."""
        async with asyncio.timeout(10):
            reader, writer = await self.open(host)
            writer.write(data)
            answer = await reader.read(-1)
            writer.close()
            return answer


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.web.server.start()
    await house.node.server.start()
    yield house
    await house.web.server.stop()
    await house.node.server.stop()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Return the body of one answer on a connection that is kept."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return await reader.readexactly(length)


async def test_a_request_is_answered_by_its_owner_who_sees_the_peer(house: House) -> None:
    reply = await house.ask(FOR_NODE, "127.0.0.9")
    assert reply.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in reply.lower()
    assert reply.endswith(b"node body")
    assert house.node.hosts == ["127.0.0.9"]
    assert len(house.web.engine.strangers) == len(house.web.engine.watched) == 0
    assert not house.web.server.server_state.connections


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_however_it_is_cut(house: House, size: int) -> None:
    reader, writer = await house.open()
    for begin in range(0, len(FOR_NODE), size):
        writer.write(FOR_NODE[begin : begin + size])
        await writer.drain()
        for _ in range(3):
            await asyncio.sleep(0)
    assert await answer(reader) == b"node body"
    writer.close()


async def test_a_kept_connection_goes_to_the_node_when_it_is_asked_for(house: House) -> None:
    reader, writer = await house.open()
    for _ in range(2):
        writer.write(FOR_WEB)
        assert await answer(reader) == b"web "
    writer.write(FOR_NODE)
    assert await answer(reader) == b"node body"
    # It was the last: the next one could be for web, which the node cannot give back.
    assert await reader.read(1) == b""
    writer.close()


async def test_requests_that_come_together_are_answered_in_their_order(house: House) -> None:
    reply = await house.ask(FOR_WEB + FOR_WEB + b"\r\n" + FOR_NODE + FOR_WEB)
    bodies = [part for part in (b"web ", b"node body") if part in reply]
    assert bodies == [b"web ", b"node body"]
    assert reply.count(b"HTTP/1.1 200") == 3
    assert reply.index(b"web ") < reply.index(b"node body")
    assert reply.endswith(b"node body")


async def test_a_body_that_looks_like_a_request_for_the_node_is_none(house: House) -> None:
    body = FOR_NODE * 3
    head = b"PUT /n/two/hook HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    reply = await house.ask(head % len(body) + body)
    # Of no node, it is web's; the body is its own.
    assert reply.endswith(b"web " + body)
    assert house.node.hosts == []


async def test_an_answer_that_is_read_slowly_leaves_before_its_connection_does(
    house: House,
) -> None:
    reader, writer = await house.open()
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" + FOR_NODE)
    # Longer than one look at what has not left yet.
    await asyncio.sleep(0.1)
    assert len(await answer(reader)) == 4_000_000
    assert await answer(reader) == b"node body"
    writer.close()


async def test_a_media_socket_is_the_nodes(house: House) -> None:
    async with asyncio.timeout(10):
        reader, writer = await house.open()
        peer = Peer(reader, writer)
        writer.write(handshake(CALL))
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    assert len(house.node.engine.connections) == 1
    assert not house.web.engine.connections
    del peer
    writer.close()


async def test_a_media_socket_of_no_node_is_refused_as_ever(house: House) -> None:
    assert b" 404 " in await house.ask(handshake("/n/two/media/browser"))


async def test_for_a_node_that_is_away_the_pages_answer_until_it_is_found_again(
    house: House,
) -> None:
    await house.node.server.stop()
    reader, writer = await house.open()
    for size in (1, 7, len(FOR_NODE)):
        for begin in range(0, len(FOR_NODE), size):
            writer.write(FOR_NODE[begin : begin + size])
            await asyncio.sleep(0)
        assert await answer(reader) == b"web body"
    # The connection is kept, as it is web's alone, and its requests are answered in their order.
    writer.write(FOR_WEB + FOR_NODE + FOR_WEB)
    assert [await answer(reader) for _ in range(3)] == [b"web ", b"web body", b"web "]
    house.node = house.new_node()
    await house.node.server.start()
    writer.write(FOR_NODE)
    assert await answer(reader) == b"node body"
    writer.close()
    assert house.web.hosts.count("127.0.0.1") == 6


async def test_a_media_socket_of_a_node_that_is_away_is_told_to_come_again(house: House) -> None:
    await house.node.server.stop()
    request = handshake(CALL)
    assert await house.ask(request) == AWAY
    for size in (1, 5):
        reader, writer = await house.open()
        for begin in range(0, len(request), size):
            writer.write(request[begin : begin + size])
            await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            assert await reader.read(-1) == AWAY
        writer.close()
    house.node = house.new_node()
    await house.node.server.start()
    reader, writer = await house.open()
    writer.write(request)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_too_much_before_the_owner_is_known_is_refused(house: House) -> None:
    assert (await house.ask(FOR_NODE + b"x" * (DATA_BYTES_MAX + 1))).startswith(b"HTTP/1.1 431")


class Mute:
    """A node that takes packets, and answers when told to."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.setblocking(False)
        self.way: socket.socket
        self.keeps = False
        """Whether it keeps what it is sent, as one who wakes later."""
        self.kept: list[socket.socket] = []

    async def receive(self) -> bytes:
        """Return the bytes of the next packet; its descriptor is closed, as by one who dies."""
        loop = asyncio.get_running_loop()
        if not hasattr(self, "way"):
            self.way, _ = await loop.sock_accept(self.listener)
            self.way.setblocking(False)
        while True:
            with contextlib.suppress(BlockingIOError):
                data, descriptors, _, _ = socket.recv_fds(self.way, DATA_BYTES_MAX, 1)
                if self.keeps:
                    self.kept += [socket.socket(fileno=each) for each in descriptors]
                    return data
                for each in descriptors:
                    os.close(each)
                return data
            await asyncio.sleep(0.001)

    def close(self) -> None:
        self.listener.close()
        if hasattr(self, "way"):
            self.way.close()


@pytest.fixture
async def mute(house: House) -> AsyncIterator[Mute]:
    await house.node.server.stop()
    mute = Mute(inbox_of(house.folder, "one"))
    yield mute
    mute.close()


async def test_what_a_node_had_not_taken_when_it_died_is_answered(house: House, mute: Mute) -> None:
    asking = [asyncio.create_task(house.ask(FOR_NODE_ALONE)) for _ in range(70)]
    assert house.web.hosts == []
    assert await mute.receive() == FOR_NODE_ALONE
    # Also those that wait behind the window.
    await asyncio.sleep(0.05)
    mute.close()
    for each in await asyncio.gather(*asking):
        assert each.endswith(b"web body")


async def test_a_descriptor_that_found_no_place_is_answered(house: House, mute: Mute) -> None:
    asking = asyncio.create_task(house.ask(FOR_NODE_ALONE))
    await mute.receive()
    mute.way.send(NOT_TAKEN)
    assert (await asking).endswith(b"web body")


async def test_a_node_that_stands_still_keeps_no_media_socket_here(
    house: House, mute: Mute
) -> None:
    asking = asyncio.create_task(house.ask(handshake(CALL)))
    await mute.receive()
    house.web.clock.now_ns += house.web.engine.limits.handshake_timeout_ns
    house.web.engine.sweep(house.web.clock())
    await asking
    assert len(house.web.engine.strangers) == 0
    # Its late answer is for nobody, and the next one for who is there.
    later = asyncio.create_task(house.ask(handshake(CALL)))
    await mute.receive()
    mute.way.send(TAKEN)
    mute.way.send(NOT_TAKEN)
    assert await later == AWAY


async def test_for_a_node_that_stands_still_the_pages_answer_and_its_own_answer_is_lost(
    house: House, mute: Mute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_protocol, "PATIENCE_S", 0.05)
    mute.keeps = True
    async with asyncio.timeout(10):
        reader, writer = await house.open()
        writer.write(FOR_NODE)
        await mute.receive()
        head = await reader.readuntil(b"\r\n\r\n")
        # A proxy sends nothing more on it, and takes nothing more from it.
        assert b"\r\nconnection: close\r\n" in head.lower()
        assert await reader.read(-1) == b"web body"
        # It wakes, and has the connection still.
        (mine,) = mute.kept
        with mine, pytest.raises(BrokenPipeError):
            mine.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
    mute.keeps = False
    mute.way.send(TAKEN)
    later = asyncio.create_task(house.ask(FOR_NODE_ALONE))
    await mute.receive()
    mute.way.send(NOT_TAKEN)
    assert (await later).endswith(b"web body")


async def test_an_answer_that_nothing_was_sent_for_ends_the_way(house: House, mute: Mute) -> None:
    asking = asyncio.create_task(house.ask(FOR_NODE_ALONE))
    await mute.receive()
    for _ in range(2):
        mute.way.send(NOT_TAKEN)
    assert (await asking).endswith(b"web body")
    assert await asyncio.get_running_loop().sock_recv(mute.way, 1) == b""


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process none until the end of the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, before[1]))
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def finds_no_descriptor(house: House) -> None:
    """Ask for the node while there is no descriptor left, and be answered by the pages."""
    reader, writer = await house.open()
    writer.write(FOR_NODE[:9])
    while len(house.web.engine.strangers) != 1:
        await asyncio.sleep(0.001)
    with no_descriptors():
        writer.write(FOR_NODE[9:])
        async with asyncio.timeout(10):
            assert await answer(reader) == b"web body"
    writer.close()


async def test_descriptors_that_have_run_out_lose_no_connection(house: House) -> None:
    assert (await house.ask(FOR_NODE)).endswith(b"node body")
    # Whatever is closed meanwhile would be a place.
    while house.node.engine.watched or house.web.engine.watched:
        await asyncio.sleep(0.001)
    await finds_no_descriptor(house)
    assert (await house.ask(FOR_NODE)).endswith(b"node body")


async def test_a_way_that_finds_no_descriptor_is_none_and_found_later(house: House) -> None:
    await finds_no_descriptor(house)
    # A node that finds none for the way itself looks again a little later.
    way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with way, no_descriptors():
        way.connect(str(inbox_of(house.folder, "one")))
        await asyncio.sleep(0.01)
    assert (await house.ask(FOR_NODE)).endswith(b"node body")


async def test_a_second_process_that_hands_over_is_heard_too(house: House) -> None:
    others = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(10)]
    for each in others:
        each.connect(str(inbox_of(house.folder, "one")))
        await asyncio.sleep(0.005)
    mine, theirs = socket.socketpair()
    with mine, theirs:
        # No connection of a network: it has no peer to be counted by, and is closed.
        socket.send_fds(others[0], [b"GET"], [theirs.fileno()])
        theirs.close()
        assert await asyncio.to_thread(others[0].recv, 1) == TAKEN
        assert await asyncio.to_thread(mine.recv, 1) == b""
    # Beyond eight, one more is turned away.
    assert await asyncio.to_thread(others[9].recv, 1) == b""
    for each in others:
        each.close()


async def test_an_inbox_replaces_what_a_killed_process_left(tmp_path: Path) -> None:
    path = inbox_of(tmp_path, "one")
    left = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.bind(str(path))
    inbox = Inbox(path, MediaEngine(lambda _request: Refusal(404, "")), lambda *_: None)
    assert path.is_socket()
    await inbox.close()
    assert not path.exists()
    left.close()
    with pytest.raises(OSError, match="too long"):
        Inbox(tmp_path / ("x" * 200), MediaEngine(lambda _request: Refusal(404, "")), None)


def test_the_front_is_the_one_ports_protocol_with_doors() -> None:
    assert FrontProtocol.may_be_elsewhere.search(b"PUT /n/")


async def test_it_is_known_at_once_that_a_node_is_gone_and_that_it_serves_again(
    house: House,
) -> None:
    takes = Entrance(doors={"one": house.door}).takes
    assert takes("one")
    # Of a node that is elsewhere nothing is known here.
    assert takes("two")
    assert Entrance().takes("one")
    assert (await house.ask(FOR_NODE)).endswith(b"node body")
    await house.node.server.stop()
    async with asyncio.timeout(5):
        while takes("one"):
            await asyncio.sleep(0)
    house.node = house.new_node()
    assert not takes("one")
    await house.node.server.start()
    assert takes("one")


@pytest.mark.parametrize(
    ("head", "node"),
    [
        (b"GET /n/n1-1/media/browser HTTP/1.1\r\n", "n1-1"),
        (b"POST /n/n2/twilio/status/x HTTP/1.1\r\n", "n2"),
        (b"OPTIONS /n/n2/", "n2"),
        (b"GET / HTTP/1.1\r\n", ""),
        (b"GET /n HTTP/1.1\r\n", ""),
        (b"GET /n/ HTTP/1.1\r\n", ""),
        (b"GET /n//media/browser", ""),
        (b"GET /n/n1 HTTP/1.1\r\n", ""),
        (b"GET /n/n1?x/", ""),
        (b"GET /n/N1/", ""),
        (b"GET /n/" + b"a" * 65, ""),
        (b"GET /news", ""),
        (b"GET //n/n1/", ""),
        (b"GET http://host/n/n1/", ""),
        (b"get /n/n1/", ""),
        (b"G" * 21, ""),
        (b"\x16\x03\x01", ""),
        (b"GET  /n/n1/", ""),
    ],
)
def test_a_complete_beginning_is_decided(head: bytes, node: str) -> None:
    assert node_of(head) == node


def test_a_request_for_a_node_is_undecided_until_the_node_is_complete() -> None:
    head = b"DELETE /n/n1-1/"
    assert [node_of(head[:cut]) for cut in range(len(head))] == [None] * len(head)


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_what_is_decided_stays_so_whatever_follows(head: bytes, more: bytes) -> None:
    if (node := node_of(head)) is not None:
        assert node_of(head + more) == node


@given(st.binary(max_size=30), st.integers(0, 14))
def test_a_request_for_a_node_is_found_wherever_it_begins_and_is_cut(
    before: bytes, cut: int
) -> None:
    data = before + b"\nPOST /n/n1/x"[: cut + 2]
    starts = [found.start() for found in MAY_BE_A_NODES.finditer(data)]
    assert len(before) + 1 in starts
