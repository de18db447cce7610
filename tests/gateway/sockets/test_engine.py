"""The engine as a whole: who is in it, when it looks, and how it ends."""

from __future__ import annotations

import dataclasses

import pytest
from socket_peers import CLOSE, Clock, EchoLeg, close_frame

from gateway.ports import Refusal
from gateway.sockets.counters import EngineCounters
from gateway.sockets.engine import MediaEngine
from gateway.sockets.limits import SECOND_NS, MediaLimits


class Watched:
    def __init__(self) -> None:
        self.checked_ns: list[int] = []

    def check(self, now_ns: int) -> None:
        self.checked_ns.append(now_ns)


@pytest.mark.parametrize("size", [0, 1, 7, 50, 173])
def test_parts_make_a_whole_and_none_is_long(size: int):
    engine = MediaEngine(lambda _: Refusal(404, "No."), clock_ns=Clock())
    everyone = [Watched() for _ in range(size)]
    engine.watched.update(everyone)
    done = 0
    for now_ns in range(50):
        engine.sweep(now_ns, 50)
        before, done = done, sum(len(watched.checked_ns) for watched in everyone)
        assert done - before <= -(-size // 50)
    assert all(watched.checked_ns for watched in everyone)


def test_what_has_left_is_not_looked_at():
    engine = MediaEngine(lambda _: Refusal(404, "No."), clock_ns=Clock())
    everyone = [Watched() for _ in range(4)]
    engine.watched.update(everyone)
    engine.sweep(1, 2)
    left = [watched for watched in everyone if not watched.checked_ns]
    engine.watched.difference_update(left)
    engine.sweep(2, 2)
    assert [watched.checked_ns for watched in left] == [[], []]


async def test_connections_are_those_alive(serve):
    server = await serve()
    assert server.engine.connections == set()
    peer, leg = await server.open()
    _, other_leg = await server.open()
    assert server.engine.connections == {leg.connection, other_leg.connection}
    await peer.leave()
    await leg.wait(1)
    assert server.engine.connections == {other_leg.connection}


async def test_close_all_says_goodbye_to_everyone(serve):
    server = await serve()
    opened = [await server.open() for _ in range(3)]
    server.engine.close_all(1013, "try again")
    for peer, leg in opened:
        assert await peer.frame() == (CLOSE, b"\x03\xf5try again")
        peer.send(close_frame(1013))
        assert await peer.end() == b""
        assert leg.events == [("close", 1013)]
    await server.gone()


async def test_abort_all_drops_everyone(serve):
    server = await serve(leg=EchoLeg)
    opened = [await server.open() for _ in range(3)]
    server.engine.abort_all()
    for _, leg in opened:
        assert await leg.wait(1) == [("close", 1006)]
    assert server.engine.connections == set()


async def test_counters_tell_open_from_refused(serve):
    server = await serve()
    await server.open()
    peer = await server.connect(b"nonsense\r\n\r\n")
    assert (await peer.response())[0] == 400
    assert server.engine.counters == EngineCounters(opened=1, refused=1)


def test_limits_are_positive_and_frozen():
    limits = MediaLimits()
    values = dataclasses.asdict(limits)
    assert all(value > 0 for value in (*values.pop("frames").values(), *values.values()))
    assert limits.handshake_timeout_ns == 10 * SECOND_NS
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.message_bytes_max = 1
