"""Floods of connections on real sockets: who gets in, and who goes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.nanoseconds import SECOND_NS
from gateway.ports import Acceptance, HandshakeRequest, Refusal
from gateway.sockets.acceptor import Acceptor
from gateway.sockets.addresses import Proxies
from gateway.sockets.engine import MediaEngine
from gateway.sockets.limits import MediaLimits
from gateway.sockets.one_port import create_server
from gateway.sockets.strangers import Stranger
from gateway.sockets.tls import ServerTls
from tests.certificates import Authority
from tests.gateway.sockets.socket_peers import Clock, EchoLeg, Peer, handshake

HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
HOSTILE, CALLER = "127.0.0.2", "127.0.1.3"
"""Two addresses of two networks."""
CARRIER = "/n/one/media/carrier"
SIGNED = "signed"
FLOOD = 5000


class House:
    """The one port on every address of the loopback."""

    def __init__(self, clock: Clock, limits: MediaLimits | None, tls: ServerTls | None) -> None:
        self.legs: list[EchoLeg] = []
        self.engine = MediaEngine(self._route, limits, clock)
        app = Starlette(routes=[Route("/hello", self._hello)])
        options: dict[str, Any] = {"host": "0.0.0.0", "port": 0, "grace_s": 1, "tls": tls}
        self.server = create_server(app, engine=self.engine, **options)
        self.hostile: list[socket.socket] = []

    async def _hello(self, request: Request) -> Response:
        return PlainTextResponse("hello")

    def _route(self, request: HandshakeRequest) -> Acceptance | Refusal:
        self.legs.append(EchoLeg())
        is_signed = request.headers.get("x-twilio-signature") == SIGNED
        return Acceptance(self.legs[-1].attach, is_authenticated=is_signed)

    async def flood(self, count: int, *sent: bytes, host: str = HOSTILE) -> None:
        """Open as many connections, each of which says one of these and then nothing."""
        for n in range(count):
            connection = socket.socket()
            connection.setblocking(False)
            connection.bind((host, 0))
            self.hostile.append(connection)
            with contextlib.suppress(BlockingIOError):
                connection.connect(("127.0.0.1", self.server.port))
            if n % 100 == 99:
                await self.idle()
            if sent:
                with contextlib.suppress(OSError):
                    connection.send(sent[n % len(sent)])
        await self.idle()

    async def idle(self) -> None:
        """Return when everything that has come has been dealt with."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def call(self, host: str = CALLER, data: bytes = b"") -> Peer:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.server.port, local_addr=(host, 0)
            )
        writer.write(data)
        return Peer(reader, writer)

    def end(self) -> None:
        for connection in self.hostile:
            connection.close()


Open = Callable[..., Awaitable[House]]


@pytest.fixture
async def start(clock: Clock) -> AsyncIterator[Open]:
    houses: list[House] = []

    async def start_one(limits: MediaLimits | None = None, tls: ServerTls | None = None) -> House:
        houses.append(House(clock, limits, tls))
        await houses[-1].server.start()
        return houses[-1]

    yield start_one
    for house in houses:
        house.end()
        await house.server.stop()
        assert not house.engine.connections
        assert not house.engine.watched
        assert len(house.engine.strangers) == 0


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FLOOD + 2000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"platform: {wanted} descriptors are more than the hard limit")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def assert_served(house: House, host: str = CALLER) -> list[Peer]:
    """Prove that a caller and the carrier get in, and stay; return their connections."""
    web = await house.call(host, HELLO)
    assert (await web.response())[2] == b"hello"
    caller = await house.call(host, handshake())
    assert (await caller.head())[0] == 101
    leg = house.legs[-1]
    leg.connection.mark_authenticated()
    carrier = await house.call(host, handshake(CARRIER, X_Twilio_Signature=SIGNED))
    assert (await carrier.head())[0] == 101
    assert leg.connection in house.engine.authenticated
    assert house.legs[-1].connection in house.engine.authenticated
    return [web, caller, carrier]


@pytest.mark.parametrize(
    "sent",
    [
        (b"", handshake(), HELLO, HELLO[:9], handshake("/n/one/media/carrier")),
        pytest.param((b"",), marks=pytest.mark.thorough),
        pytest.param((handshake()[:60], b"GET /n/one/me"), marks=pytest.mark.thorough),
        pytest.param((handshake(),), marks=pytest.mark.thorough),
        pytest.param((HELLO,), marks=pytest.mark.thorough),
    ],
    ids=["all", "silent", "half a handshake", "open and no start", "idle"],
)
async def test_5000_sockets_of_one_address_keep_nobody_out(
    start: Open, many_descriptors: None, sent: tuple[bytes, ...]
) -> None:
    house = await start(MediaLimits(connections_per_s=FLOOD, connections_at_once=2 * FLOOD))
    early = await assert_served(house)
    await house.flood(FLOOD, *sent)
    limits = house.engine.limits
    assert len(house.engine.strangers) <= limits.strangers_per_address_max + len(early)
    late = await assert_served(house)
    await house.flood(50, *sent)
    for peer in (*early, *late):
        assert not peer.reader.at_eof()
        await peer.leave()
    assert len(house.legs) >= 4
    assert house.engine.strangers.dropped > 0


async def test_the_house_full_of_many_networks_still_lets_everyone_in(start: Open) -> None:
    limits = MediaLimits(
        strangers_max=60, strangers_per_network_max=30, strangers_per_address_max=15
    )
    house = await start(limits)
    early = await assert_served(house)
    for n in range(10, 20):
        await house.flood(20, handshake(), host=f"127.0.{n}.1")
    assert len(house.engine.strangers) == limits.strangers_max
    for peer in (*early, *await assert_served(house)):
        assert not peer.reader.at_eof()
        await peer.leave()


async def test_a_flooded_neighbour_gets_in_too(start: Open) -> None:
    limits = MediaLimits(
        strangers_max=60, strangers_per_network_max=30, strangers_per_address_max=15
    )
    house = await start(limits)
    for n in range(10, 14):
        await house.flood(20, handshake(), host=f"127.0.1.{n}")
    for peer in await assert_served(house):
        assert not peer.reader.at_eof()
        await peer.leave()


async def test_when_descriptors_run_out_the_silent_go_first(start: Open) -> None:
    house = await start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for _ in range(60):  # accepted only when the loop runs again
        connection = socket.create_connection(("127.0.0.1", house.server.port))
        house.hostile.append(connection)
    web = socket.create_connection(("127.0.0.1", house.server.port))
    web.setblocking(False)
    house.hostile.append(web)
    web.send(HELLO)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 8, hard))
    try:
        async with asyncio.timeout(10):
            answer = await asyncio.get_running_loop().sock_recv(web, 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answer.startswith(b"HTTP/1.1 200")
    assert house.engine.strangers.dropped >= 40


async def test_without_a_stranger_to_drop_the_port_waits_and_goes_on(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await start()
    accept, refusals = socket.socket.accept, [errno.EMFILE, errno.ENFILE, errno.ENOBUFS]

    def scarce(listener: socket.socket) -> Any:
        if refusals:
            raise OSError(refusals.pop(), "none left")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", scarce)
    peer = await house.call(data=HELLO)
    assert (await peer.response())[0] == 200
    assert refusals == []
    await peer.leave()


async def test_a_connection_that_is_gone_before_it_is_accepted_is_nothing(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await start()
    accept, faults = socket.socket.accept, [errno.ECONNABORTED, errno.EPROTO, errno.EPERM]

    def broken(listener: socket.socket) -> Any:
        if faults:
            raise OSError(faults.pop(), "gone")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", broken)
    peer = await house.call(data=HELLO)
    assert (await peer.response())[0] == 200
    await peer.leave()


@pytest.fixture
def tls(authority: Authority, tmp_path: Any) -> ServerTls:
    return ServerTls(*authority.issue(tmp_path))


async def test_handshakes_of_tls_are_strangers_too(
    start: Open, authority: Authority, tls: ServerTls, clock: Clock
) -> None:
    limits = MediaLimits(strangers_per_address_max=20)
    house = await start(limits, tls)
    await house.flood(50, b"", b"\x16\x03\x01\x02")
    assert len(house.engine.strangers) == 20
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", house.server.port, local_addr=(CALLER, 0), ssl=authority.client()
    )
    peer = Peer(reader, writer)
    peer.send(HELLO)
    assert (await peer.response())[0] == 200
    house.engine.sweep(clock.advance(4.9))
    assert len(house.engine.strangers) == 21
    house.engine.sweep(clock.advance(0.1))
    assert len(house.engine.strangers) == 1
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                if house.hostile[-1].recv(10) == b"":
                    break
            await asyncio.sleep(0.01)
    await peer.leave()


async def test_the_deadline_counts_from_accept_through_tls_to_the_last_byte_of_the_head(
    start: Open, authority: Authority, tls: ServerTls, clock: Clock
) -> None:
    house = await start(None, tls)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    await asyncio.sleep(0.05)
    house.engine.sweep(clock.advance(2))
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(1 << 16))
    writer.write(outgoing.read())
    data = handshake()
    for at in range(0, 20, 10):
        client.write(data[at : at + 10])
        writer.write(outgoing.read())
        await asyncio.sleep(0.05)
        house.engine.sweep(clock.advance(1.4))
    assert len(house.engine.strangers) == 1
    house.engine.sweep(clock.advance(0.2))
    assert len(house.engine.strangers) == 0
    assert house.engine.counters.late == 1
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while await reader.read(100):
                pass
    writer.close()


async def test_stop_does_not_wait_for_handshakes(clock: Clock, tls: ServerTls) -> None:
    house = House(clock, None, tls)
    await house.server.start()
    await house.flood(5, b"")
    assert len(house.engine.strangers) == 5
    await house.server.stop()
    assert len(house.engine.strangers) == 0
    house.end()


# How often one source may connect.


def is_reset(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


async def test_connections_beyond_the_rate_of_their_source_are_reset(
    start: Open, clock: Clock
) -> None:
    house = await start(MediaLimits(connections_per_s=10, connections_at_once=20))
    await house.flood(300)
    assert sum(is_reset(connection) for connection in house.hostile) == 280
    assert house.engine.counters.rejected == 280
    for peer in await assert_served(house):
        await peer.leave()
    clock.advance(1)
    await house.flood(30)
    assert house.engine.counters.rejected == 300


async def test_a_network_has_twice_the_rate_of_an_address(start: Open) -> None:
    house = await start(MediaLimits(connections_per_s=10, connections_at_once=20))
    for n in range(10, 20):
        await house.flood(20, host=f"127.0.7.{n}")
    assert house.engine.counters.rejected == 160
    for peer in await assert_served(house):
        await peer.leave()


async def test_a_trusted_proxy_may_connect_as_often_as_it_likes(start: Open) -> None:
    house = await start(MediaLimits(connections_per_s=10, connections_at_once=20))
    house.engine.proxies = Proxies([HOSTILE])
    await house.flood(300)
    assert house.engine.counters.rejected == 0
    assert len(house.engine.strangers) == 300


def client_hello(authority: Authority) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def tls_call(house: House, authority: Authority, host: str) -> Peer:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", house.server.port, local_addr=(host, 0), ssl=authority.client()
        )
    return Peer(reader, writer)


@pytest.mark.parametrize("in_all", [2, 100])
async def test_handshakes_wait_for_those_of_their_own_source(
    start: Open, authority: Authority, tls: ServerTls, clock: Clock, in_all: int
) -> None:
    """Whoever leaves handshakes open holds up itself alone."""
    limits = MediaLimits(handshakes_per_address_max=2, handshakes_max=in_all + 2)
    house = await start(limits, tls)
    await house.flood(20, client_hello(authority))
    answered = sum(bool(_peek(connection)) for connection in house.hostile)
    assert (answered, len(house.engine.strangers)) == (2, 20)
    peers = [await tls_call(house, authority, CALLER) for _ in range(3)]
    for peer in peers:
        peer.send(HELLO)
        assert (await peer.response())[0] == 200
        await peer.leave()
    house.engine.sweep(clock.advance(5))
    await house.idle()
    assert len(house.engine.strangers) == 0
    peer = await tls_call(house, authority, HOSTILE)
    await peer.leave()


async def test_one_that_waits_is_served_when_its_turn_comes(
    start: Open, authority: Authority, tls: ServerTls
) -> None:
    house = await start(MediaLimits(handshakes_per_address_max=1), tls)
    await house.flood(3, client_hello(authority))
    waiting = asyncio.ensure_future(tls_call(house, authority, HOSTILE))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    for connection in house.hostile[:3]:
        connection.close()
    peer = await waiting
    peer.send(HELLO)
    assert (await peer.response())[0] == 200
    await peer.leave()


async def test_one_that_is_dropped_as_its_turn_comes_does_not_go_on(
    tls: ServerTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = MediaLimits(handshakes_per_address_max=1, handshake_timeout_ns=60 * SECOND_NS)
    engine = MediaEngine(lambda _request: Refusal(404, "None."), limits)
    leave = engine.strangers.leave

    def leave_and_drop_the_next(stranger: Stranger) -> None:
        leave(stranger)
        engine.strangers.drop_one()

    monkeypatch.setattr(engine.strangers, "leave", leave_and_drop_the_next)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    acceptor = Acceptor(listener, engine, lambda _stranger: asyncio.Protocol(), tls)
    first, second = (socket.create_connection(listener.getsockname(), 10) for _ in range(2))
    with first, second:
        async with asyncio.timeout(10):
            while len(engine.strangers) < 2:
                await asyncio.sleep(0.01)
            first.close()
            while acceptor._connecting:
                await asyncio.sleep(0.01)
        assert _peek(second) == b""
    assert len(acceptor._turns) == 0
    await acceptor.close()


def _peek(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100, socket.MSG_PEEK)
    except (BlockingIOError, ConnectionError):
        return b""


class LastToCome(asyncio.Protocol):
    """The peer's end of a connection that is made while the port closes."""

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close
        self.closing: asyncio.Future[None]
        self.is_lost = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self.closing = asyncio.ensure_future(self._close())

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost.set()


async def test_a_connection_that_is_made_while_the_port_closes_is_served_and_its_end_is_told() -> (
    None
):
    engine = MediaEngine(lambda _request: Refusal(404, "None."))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    made: list[LastToCome] = []

    def new_protocol(_stranger: object) -> LastToCome:
        made.append(LastToCome(acceptor.close))
        return made[-1]

    acceptor = Acceptor(listener, engine, new_protocol)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"late")
        assert await reader.readexactly(4) == b"late"
        writer.close()
        (late,) = made
        await late.is_lost.wait()
        await late.closing
