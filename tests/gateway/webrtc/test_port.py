"""A port takes every datagram, one by one or in batches, and keeps none back."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest
import uvloop

from gateway.webrtc.port import BATCH_DATAGRAMS_MAX, UdpPort

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
BYTES_MAX = 1_500


class World:
    """A port, and a socket that speaks to it."""

    def __init__(self) -> None:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        bound.bind(("127.0.0.1", 0))
        self.taken: list[bytes] = []
        self.on_taken: Callable[[], None] = lambda: None
        self.faults: list[Exception] = []
        self.port = UdpPort(
            bound,
            BYTES_MAX,
            self.take,
            failed=self.faults.append,
            clock_ns=time.monotonic_ns,
        )
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.settimeout(5)
        self.peer.bind(("127.0.0.1", 0))
        self.peer.connect(self.port.name)

    def take(self, datagram: bytes, _address: Any) -> None:
        self.taken.append(datagram)
        self.on_taken()

    def say(self, count: int) -> list[bytes]:
        """Send datagrams and return them."""
        said = [number.to_bytes(2, "big") for number in range(count)]
        for datagram in said:
            self.peer.send(datagram)
        return said

    async def heard(self, count: int) -> list[bytes]:
        """Return so many datagrams once they have been taken."""
        async with asyncio.timeout(5):
            while len(self.taken) < count:
                await asyncio.sleep(0)
        taken, self.taken = self.taken, []
        return taken

    def close(self) -> None:
        self.port.close()
        self.peer.close()


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(
    way: str, request: pytest.FixtureRequest
) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    def run(play: Callable[[World], Awaitable[None]]) -> None:
        async def main() -> None:
            with closing(World()) as world:
                await play(world)

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run


def test_both_directions(run: Any) -> None:
    async def play(world: World) -> None:
        assert await world.heard(world.say(3) and 3) == [b"\0\0", b"\0\1", b"\0\2"]
        assert world.port.send(b"answer", world.peer.getsockname())
        assert world.peer.recv(100) == b"answer"

    run(play)


def test_a_long_datagram_is_cut_so_that_it_is_seen_to_be_long(run: Any) -> None:
    async def play(world: World) -> None:
        world.peer.send(bytes(BYTES_MAX))
        world.peer.send(bytes(9_000))
        assert [len(datagram) for datagram in await world.heard(2)] == [BYTES_MAX, BYTES_MAX + 1]

    run(play)


def test_what_the_kernel_refuses_is_told(run: Any) -> None:
    async def play(world: World) -> None:
        assert not world.port.send(bytes(70_000), world.peer.getsockname())

    run(play)


def test_a_paced_port_is_read_when_it_is_told_to(run: Any) -> None:
    async def play(world: World) -> None:
        for _ in range(2):
            world.port.pace(True)
            said = world.say(5)
            await asyncio.sleep(0.01)
            assert world.taken == []
            assert world.port.read()
            assert await world.heard(5) == said
            assert world.port.take_count() == 5
            assert world.port.take_count() == 0
            said = world.say(2)
            world.port.pace(False)
            assert await world.heard(2) == said
            assert world.port.take_count() == 2

    run(play)


def test_what_is_more_than_a_batch_is_read_to_its_end(run: Any) -> None:
    async def play(world: World) -> None:
        world.port.pace(True)
        said = world.say(BATCH_DATAGRAMS_MAX - 1)
        while not world.port.read():
            pass
        assert world.taken == said

    run(play)


def test_a_flood_leaves_the_loop_to_others(run: Any) -> None:
    async def play(world: World) -> None:
        world.say(3 * BATCH_DATAGRAMS_MAX)
        assert not world.port.read()
        assert len(world.taken) == BATCH_DATAGRAMS_MAX

    run(play)


@pytest.mark.parametrize("is_paced", [False, True])
def test_a_port_closed_by_whoever_takes(run: Any, is_paced: bool) -> None:
    async def play(world: World) -> None:
        world.on_taken = world.port.close
        if is_paced:
            world.port.pace(True)
        world.say(3)
        if is_paced:
            world.port.read()
        assert await world.heard(1) == [b"\0\0"]
        world.port.pace(False)
        world.port.pace(True)
        assert world.port.read()
        await asyncio.sleep(0.005)
        assert world.taken == []
        assert not world.port.send(b"late", world.peer.getsockname())

    run(play)
