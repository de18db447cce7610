"""The engine as a whole: who is in it, when it looks, and how it ends."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.nanoseconds import SECOND_NS
from gateway.ports import Acceptance, HandshakeRequest, Refusal
from gateway.sockets.counters import EngineCounters
from gateway.sockets.engine import MediaEngine
from gateway.sockets.fast_lane import MediaSocket
from gateway.sockets.limits import MediaLimits
from tests.gateway.sockets.socket_peers import CLOSE, Clock, EchoLeg, Leg, close_frame, handshake
from tests.thorough import one_in


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
    assert limits.handshake_timeout_ns == 5 * SECOND_NS
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.message_bytes_max = 1  # type: ignore[misc]


# Strangers.


class Far:
    """A peer at this address, as a transport in memory."""

    def __init__(self, engine: MediaEngine, host: str, said: bytes = b"") -> None:
        self.host = host
        self.sent = b""
        self.is_dropped = False
        self.socket: MediaSocket = engine.protocol_factory()
        self.socket.connection_made(self)
        if said and not self.is_dropped:
            self.socket.data_received(said)

    @property
    def status(self) -> int:
        return int(self.sent[9:12])

    def write(self, data: bytes) -> None:
        self.sent += data

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def get_extra_info(self, name: str) -> Any:
        return (self.host, 5000) if name == "peername" else None

    def abort(self) -> None:
        if not self.is_dropped:
            self.is_dropped = True
            self.socket.connection_lost(None)


class Flooded:
    """An engine, and the legs of those who were let in."""

    def __init__(self, limits: MediaLimits | None = None, *trusted: str) -> None:
        self.clock = Clock()
        self.legs: list[Leg] = []
        self.engine = MediaEngine(self._route, limits, self.clock, trusted)

    def _route(self, request: HandshakeRequest) -> Acceptance:
        self.legs.append(Leg())
        return Acceptance(self.legs[-1].attach, is_authenticated="x-signed" in request.headers)

    def flood(self, *hosts: str, count: int = 5000) -> list[Far]:
        """Begin and open sockets of all kinds, and never prove anything."""
        seeded = random.Random(count)
        kinds = [b"", b"GET /n", handshake()[:50], handshake()]
        return [Far(self.engine, hosts[n % len(hosts)], seeded.choice(kinds)) for n in range(count)]

    def far(self, host: str, said: bytes, authenticated: bool = False) -> Far:
        far = Far(self.engine, host, said)
        if authenticated:
            self.legs[-1].connection.mark_authenticated()
        return far


HOSTILE = [
    ("203.0.113.7",),
    tuple(f"203.0.113.{n}" for n in range(256)),
    tuple(f"203.0.{n}.{m}" for n in range(40) for m in range(30)),
    tuple(f"2001:db8:0:{n:x}::{n:x}" for n in range(300)),
]


@pytest.mark.parametrize(
    "hosts", one_in(3, HOSTILE), ids=["address", "network", "networks", "IPv6"]
)
def test_5000_hostile_sockets_keep_neither_caller_nor_carrier_nor_resume_out(hosts):
    house = Flooded(MediaLimits(connections_max=8))
    signed = handshake(X_Signed="yes")
    early = [
        house.far("198.51.100.1", handshake(), authenticated=True),
        house.far("192.0.2.60", signed),
    ]
    hostile = house.flood(*hosts)
    late = [
        house.far("198.51.100.2", handshake(), authenticated=True),
        house.far("198.51.100.1", handshake(), authenticated=True),
        house.far("192.0.2.61", signed),
    ]
    waiting = house.far("198.51.100.3", handshake())
    house.flood(*hosts, count=700)
    assert [far.status for far in (*early, *late, waiting)] == [101] * 6
    assert not any(far.is_dropped for far in (*early, *late, waiting))
    assert len(house.engine.authenticated) == 5
    limits = house.engine.limits
    assert len(house.engine.strangers) <= limits.strangers_max
    for host in hosts:
        fate = [far.is_dropped for far in hostile if far.host == host]
        assert fate == sorted(fate, reverse=True), "the oldest go first"
    house.engine.sweep(house.clock.advance(5))
    opening = [far for far in hostile if not far.is_dropped and not far.sent]
    assert opening == []
    house.engine.abort_all()


def test_a_flood_is_logged_once_a_minute():
    house = Flooded(MediaLimits(strangers_per_address_max=2))
    with capture_logs() as logs:
        for _ in range(3):
            house.flood("203.0.113.7", count=10)
            house.engine.sweep(house.clock.advance(1))
        assert [entry["dropped"] for entry in logs] == [8]
        house.engine.sweep(house.clock.advance(60))
    assert [entry["dropped"] for entry in logs] == [8, 20]


def test_a_client_behind_a_proxy_is_the_one_that_the_proxy_names():
    house = Flooded(MediaLimits(strangers_per_address_max=3), "10.0.0.0/8")
    silent = [house.far("10.0.0.1", b"") for _ in range(10)]
    named = handshake(X_Forwarded_For="203.0.113.9")
    greedy = [house.far("10.0.0.1", named) for _ in range(5)]
    other = house.far("10.0.0.1", handshake(X_Forwarded_For="198.51.100.1"))
    assert not any(far.is_dropped for far in silent)
    assert [far.is_dropped for far in greedy] == [True, True, False, False, False]
    assert other.socket.peer == "198.51.100.1:0"
    assert not other.is_dropped


def test_strangers_do_not_make_the_loop_rest():
    house = Flooded()
    for _ in range(1000):
        house.far("203.0.113.7", handshake())
    house.engine.sweep(house.clock.advance(1))  # outside of a loop it could not begin to
