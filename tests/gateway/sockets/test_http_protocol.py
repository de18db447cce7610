"""What one HTTP connection may take: time, and a place among the strangers."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from gateway.sockets.http_protocol import OnePortProtocol
from gateway.sockets.limits import MediaLimits
from tests.gateway.sockets.framings import HELLO
from tests.gateway.sockets.memory_port import PASSES, House, Transport, statuses

SLOW = HELLO.replace(b"/hello", b"/slow")
HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
FEW = MediaLimits(strangers_max=8, strangers_per_network_max=6, strangers_per_address_max=2)


class Client:
    """One connection of a client to the port."""

    def __init__(self, house: House, host: str = "203.0.113.7") -> None:
        loop = asyncio.get_running_loop()
        self.protocol: OnePortProtocol = house.port(host)
        self.transport = Transport()
        self.transport.on_closed = lambda: loop.call_soon(self.protocol.connection_lost, None)
        self.protocol.connection_made(self.transport)

    async def says(self, data: bytes) -> list[int]:
        """Send this; return the statuses of all answers so far."""
        self.protocol.data_received(data)
        await passes()
        return statuses(bytes(self.transport.sent))

    @property
    def is_dropped(self) -> bool:
        return self.transport.is_closed


async def passes() -> None:
    for _ in range(PASSES):
        await asyncio.sleep(0)


def forwarded(host: str, head: bytes = HELLO) -> bytes:
    return head.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: " + host.encode() + b"\r\n\r\n")


async def test_a_body_has_more_time_than_a_head_but_not_for_ever() -> None:
    house = House()
    client = Client(house)
    await client.says(HEAD + b"12")
    house.engine.sweep(house.clock.advance(9.9))
    assert not client.transport.sent
    assert not client.transport.has_ended
    house.engine.sweep(house.clock.advance(0.1))
    assert house.engine.counters.late == 1
    await passes()
    assert statuses(bytes(client.transport.sent)) == [408]
    assert b"\r\nConnection: close\r\n" in client.transport.sent
    assert b"no-store" in client.transport.sent
    assert client.transport.has_ended
    # What comes now is too late, and its sender has only so long to end the connection.
    assert await client.says(b"345" + HELLO) == [408]
    house.engine.sweep(house.clock.advance(4.9))
    assert not client.is_dropped
    house.engine.sweep(house.clock.advance(0.1))
    assert client.is_dropped
    assert not house.asked


async def test_a_body_that_stalls_behind_an_answer_gets_no_second_one() -> None:
    house = House()
    client = Client(house)
    early = HEAD.replace(b"/echo", b"/hello").replace(b"POST", b"GET")
    assert await client.says(early + b"12") == [200]
    house.engine.sweep(house.clock.advance(10))
    await passes()
    assert statuses(bytes(client.transport.sent)) == [200]
    assert client.is_dropped


async def test_a_body_behind_a_slow_answer_is_expected_from_the_answer_on() -> None:
    house = House()
    client = Client(house)
    await client.says(SLOW + HEAD + b"12")
    house.engine.sweep(house.clock.advance(60))
    assert not client.is_dropped
    house.release.set()
    await passes()
    house.engine.sweep(house.clock.advance(9.9))
    assert not client.transport.has_ended
    house.engine.sweep(house.clock.advance(0.1))
    await passes()
    assert statuses(bytes(client.transport.sent)) == [200, 408]


async def test_a_head_behind_a_slow_answer_is_expected_from_the_answer_on() -> None:
    house = House()
    client = Client(house)
    await client.says(SLOW + HELLO[:9])
    house.engine.sweep(house.clock.advance(60))
    assert not client.is_dropped
    house.release.set()
    await passes()
    house.engine.sweep(house.clock.advance(4.9))
    assert not client.is_dropped
    house.engine.sweep(house.clock.advance(0.1))
    assert client.is_dropped


@pytest.mark.parametrize("part", ["address", "one field", "fields"])
@pytest.mark.parametrize("size", [30_000, 40_000])
async def test_a_head_in_one_read_with_the_request_before_it_is_bounded(
    part: str, size: int
) -> None:
    address = b"/hello?" + (b"a" * size if part == "address" else b"")
    fields = b"X: " + b"a" * size + b"\r\n" if part == "one field" else b""
    fields = b"a:b\r\n" * (size // 5) if part == "fields" else fields
    head = b"GET " + address + b" HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"
    for before, its_status in ((HELLO, 200), (HEAD + b"12345", 200)):
        client = Client(House())
        is_served = size < 32 * 1024
        assert await client.says(before + head) == [its_status, *([200] if is_served else [])]
        assert client.transport.has_ended != is_served


async def test_empty_lines_between_requests_are_no_head() -> None:
    house = House()
    client = Client(house)
    assert await client.says(HELLO) == [200]
    for _ in range(10):
        await client.says(b"\r\n")
        house.engine.sweep(house.clock.advance(0.5))
    assert client.is_dropped


async def test_an_answer_that_is_not_read_is_given_up() -> None:
    house = House()
    client = Client(house)
    await client.says(SLOW)
    for _ in range(3):  # it reads, if slowly
        client.protocol.pause_writing()
        house.engine.sweep(house.clock.advance(29))
        client.protocol.resume_writing()
    house.engine.sweep(house.clock.advance(29))
    assert not client.is_dropped
    client.protocol.pause_writing()
    house.engine.sweep(house.clock.advance(30))
    assert client.is_dropped
    house.release.set()
    await passes()


async def test_the_peers_end_is_awaited_for_a_while_and_longer_while_it_reads() -> None:
    house = House()
    client, slow = Client(house), Client(house)
    for one in (client, slow):
        assert await one.says(HELLO.replace(b"Host", b"Connection: close\r\nHost")) == [200]
        assert one.transport.has_ended
    slow.transport.unsent_bytes = 1
    house.engine.sweep(house.clock.advance(4.9))
    assert not client.is_dropped
    house.engine.sweep(house.clock.advance(0.1))
    assert client.is_dropped
    assert not slow.is_dropped
    house.engine.sweep(house.clock.advance(30))
    assert slow.is_dropped


async def test_idle_connections_go_before_those_that_wait_for_an_answer() -> None:
    house = House(limits=FEW)
    waiting, idle = Client(house), Client(house)
    await waiting.says(SLOW)
    assert await idle.says(HELLO) == [200]
    newest = Client(house)
    assert idle.is_dropped
    assert not waiting.is_dropped
    assert await newest.says(HELLO) == [200]
    house.release.set()
    await passes()
    assert statuses(bytes(waiting.transport.sent)) == [200]


async def test_an_answer_that_is_not_read_makes_its_connection_a_silent_one() -> None:
    house = House(limits=FEW)
    unread, other = Client(house), Client(house)
    for client in (unread, other):
        await client.says(SLOW)
    unread.protocol.pause_writing()
    Client(house)
    assert unread.is_dropped
    assert not other.is_dropped
    house.release.set()
    await passes()


async def test_a_proxys_connections_are_not_counted_as_one_clients() -> None:
    house = House("192.0.2.0/24", limits=FEW)
    pool = [Client(house, "192.0.2.1") for _ in range(6)]
    for n, client in enumerate(pool):
        assert await client.says(forwarded(f"198.51.{n}.7")) == [200]
    assert not any(client.is_dropped for client in pool)


async def test_one_client_behind_a_proxy_is_bounded_by_its_own_address() -> None:
    house = House("192.0.2.0/24", limits=FEW)
    body = forwarded("198.51.100.7", HEAD) + b"12"
    greedy = [Client(house, "192.0.2.1") for _ in range(4)]
    for client in greedy:
        await client.says(body)
    assert [client.is_dropped for client in greedy] == [True, True, False, False]
    other = Client(house, "192.0.2.1")
    assert await other.says(forwarded("198.51.100.8")) == [200]
    assert await greedy[3].says(b"345") == [200]
    for _ in range(2):  # the connection is the proxy's again, and may carry anyone
        assert (await greedy[3].says(forwarded("198.51.100.8")))[-1] == 200
    assert not greedy[2].is_dropped


@pytest.mark.parametrize("trusted", [(), ("192.0.2.0/24",)])
async def test_nobody_else_names_a_client(trusted: tuple[str, ...]) -> None:
    house = House(*trusted, limits=FEW)
    clients = [Client(house) for _ in range(3)]
    for n, client in enumerate(clients[1:]):
        await client.says(forwarded(f"198.51.100.{n}"))
    assert [client.is_dropped for client in clients] == [True, False, False]


async def test_a_kept_connection_ends_at_once_with_the_server() -> None:
    house = House()
    idle, waiting = Client(house), Client(house)
    await idle.says(HELLO)
    await waiting.says(SLOW)
    for client in (idle, waiting):
        client.protocol.shutdown()
    assert idle.is_dropped
    assert not waiting.is_dropped
    house.release.set()
    await passes()
    assert waiting.transport.has_ended


async def test_one_address_is_answered_so_many_requests_and_others_as_before() -> None:
    house = House(limits=MediaLimits(requests_per_s=10, requests_at_once=5))
    for _ in range(5):
        assert await Client(house).says(HELLO) == [200]
    greedy = Client(house)
    assert await greedy.says(HELLO) == [429]
    assert greedy.transport.has_ended
    assert b"no-store" in greedy.transport.sent
    assert await Client(house, "198.51.100.1").says(HELLO) == [200]
    house.clock.advance(0.1)
    two = Client(house)
    assert await two.says(HELLO * 2) == [200]
    assert two.transport.has_ended, "no answer goes in front of the one that is due"
    assert len(house.asked) == 7


async def test_a_refusal_of_head_has_no_body() -> None:
    house = House(limits=MediaLimits(requests_per_s=10, requests_at_once=2))
    head = HELLO.replace(b"GET", b"HEAD")
    too_large = [head[:-2], b"X: " + b"x" * 65_536]
    for request, status in (
        (too_large, b"431"),
        ([head], b"200"),
        ([head], b"200"),
        ([head], b"429"),
    ):
        client = Client(house)
        for piece in request:
            client.protocol.data_received(piece)
        await passes()
        answer = bytes(client.transport.sent)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.endswith(b"\r\n\r\n")


async def test_what_a_proxy_relays_counts_for_whom_it_names() -> None:
    house = House("203.0.113.7", limits=MediaLimits(requests_per_s=10, requests_at_once=5))
    proxy = Client(house)
    for n in range(20):
        found = await proxy.says(forwarded(f"198.51.100.{n}"))
    assert found == [200] * 20
    for _ in range(4):
        await Client(house).says(forwarded("198.51.100.1"))
    assert await Client(house).says(forwarded("198.51.100.1")) == [429]
    assert await Client(house).says(forwarded("198.51.100.2")) == [200]


@pytest.mark.parametrize(
    "words", [b"", HELLO, HELLO * 12, SLOW + HELLO * 12, SLOW * 3, HEAD + b"12"]
)
async def test_a_connection_that_has_ended_leaves_nothing_to_a_full_collection(
    words: bytes,
) -> None:
    house = House()
    house.release.set()
    gc.disable()
    try:
        again = Client(house)
        again.protocol.data_received(words)
        again.transport.on_closed = lambda: None
        again.transport.abort()
        gone = weakref.ref(again.protocol)
        again.protocol.connection_lost(ConnectionResetError())
        del again
        await passes()
        assert gone() is None
    finally:
        gc.enable()
