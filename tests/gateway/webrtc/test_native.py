"""What is written in C of WebRTC audio does what Python does, whatever comes."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Error

from gateway.limits.frame_budget import BudgetLimits, FrameBudget
from gateway.ports import AudioSession, SessionState
from gateway.webrtc import direct
from gateway.webrtc.dtls import PROFILES, SrtpKeys
from gateway.webrtc.endpoint import DATAGRAM_BYTES_MAX, WebRtcEndpoint
from gateway.webrtc.session import DATAGRAMS, PAYLOAD_BYTES_MAX
from gateway.webrtc.srtp import SrtpTransport
from media import rtcp, rtp
from tests.gateway.webrtc.peer import EVENT, PCMU, Peer
from tests.gateway.webrtc.wire import MS, SECOND

HOST = "127.0.0.1"
SSRC = 0x89AB_CDEF
FRAME = bytes(range(160))


def test_the_functions_of_libsrtp_are_those_that_it_was_written_for() -> None:
    assert direct.IS_KNOWN


@pytest.mark.parametrize("is_known", [True, False])
def test_a_libsrtp_of_other_functions_is_left_to_python(is_known: bool) -> None:
    native = ModuleType("native")
    given: list[Any] = []
    native.__dict__.update(BATCH=8, use=lambda *functions: given.append(functions))
    assert direct.begin(native, is_known=is_known) == ((True, 8) if is_known else (False, 1))
    assert given == [(direct.PROTECT, direct.UNPROTECT, Error)] * is_known


# -- one peer and one session, their datagrams read when they are told to -------------------------


class Side:
    """A listening endpoint with its clock, and a peer with two sockets that is connected to it."""

    def __init__(self) -> None:
        self.now_ns = 100 * SECOND
        self.endpoint = WebRtcEndpoint(addresses=[HOST], clock_ns=lambda: self.now_ns)
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        self.events: list[Any] = []
        self.said: list[bytes] = []

    async def connect(self) -> Side:
        await self.endpoint.start()
        (self.port,) = self.endpoint.ports
        self.port.pace(True)
        for one in self.sockets:
            one.connect((HOST, self.endpoint.port))
            one.setblocking(False)
        self.peer = Peer(self.sockets[0].send)
        self.peer.ssrc, self.peer.sequence, self.peer.timestamp = SSRC, 65_500, 2**32 - 4_000
        self.session, answer = self.endpoint.accept(self.peer.offer())
        self.peer.accept(answer)
        self.session.on_audio = self.heard
        self.session.listener = self
        self.peer.connect()
        while not self.peer.connected or self.session.state is not SessionState.CONNECTED:
            self.move()
        # Else it is spread by the SSRC, which is random.
        self.session._report_ns = self.now_ns + SECOND
        return self

    def pressed(self, digit: str, duration_ms: int) -> None:
        self.events.append((digit, duration_ms))

    def session_changed(self, _session: AudioSession, state: SessionState) -> None:
        self.events.append(state)

    def heard(self, *packet: Any) -> None:
        """Note a packet, and answer it."""
        self.events.append(packet)
        self.session.send_audio(packet[2][::-1])

    def move(self) -> None:
        """Bring everything that was sent to where it was sent to."""
        while not self.port.read():
            pass
        while True:
            try:
                self.peer.receive(self.sockets[0].recv(2_000))
            except BlockingIOError:
                return

    def state(self) -> dict[str, Any]:
        """Return all that may not differ between two ways."""
        session, counters = self.session, self.endpoint.counters
        counters.datagrams = 0
        return {
            "events": self.events,
            "heard": [packet[2:] for packet in self.peer.audio],
            "asked": len(self.peer.rtcp),
            "counters": counters,
            "quality": session.quality,
            "missing": session.statistics.missing(),
            "late": (session.statistics.late, session.statistics.duplicates),
            "in": (session.packets_in, session.last_in_ns, session.packets_out),
            "dropped": (session.excess, session.bad_packets, session.replayed),
            "strange": session.wrong_source,
            "is": session.state,
        }

    def close(self) -> None:
        self.endpoint.stop()
        for one in self.sockets:
            one.close()


async def both_sides(native: ModuleType) -> tuple[Side, Side]:
    """Return one by Python, and one past it."""
    with way_of(None):
        by_python = await Side().connect()
    with way_of(native):
        past_python = await Side().connect()
    assert by_python.session.line is None
    assert past_python.session.line is not None
    return by_python, past_python


@contextmanager
def way_of(native: ModuleType | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "IS_AVAILABLE", native is not None)
        if native is not None:
            patch.setattr(direct, "_native", native, raising=False)
        yield


def act(side: Side, chance: random.Random) -> None:
    """Do one of the things that a browser, its network or a stranger may do."""
    peer, (ours, stranger) = side.peer, side.sockets
    protect = peer.protect
    assert protect is not None
    kind = chance.randrange(24)
    side.now_ns += chance.choice([0, 0, 20 * MS, 20 * MS, 400 * MS])
    if kind == 0:  # repeated
        ours.send(chance.choice(side.said or [b"\x80"]))
        return
    if kind == 1:  # lost, a little or a lot
        peer.sequence = peer.sequence + chance.choice([1, 2, 70, 600]) & 0xFFFF
    elif kind == 2:  # overtaken by the next
        first, second = (peer.packet(FRAME) for _ in range(2))
        ours.send(second)
        ours.send(first)
        return
    elif kind == 3:
        peer.ssrc = chance.choice([SSRC, SSRC, 7, chance.randrange(2**32)])
    elif kind == 4:
        peer.send_rtcp(rtcp.receiver_report(peer.ssrc, None, "browser"))
        return
    elif kind == 5:
        peer.send(peer.check())
        return
    elif kind == 6:
        noise = chance.randbytes(chance.choice([0, 1, 11, 12, 27, 1_500, 1_501, 3_000]))
        ours.send(b"\x80" + noise)
        return
    payload = chance.randbytes(chance.choice([0, 8, 80, 160, 160, 960, 961, 1_200]))
    number = chance.choice([PCMU, PCMU, PCMU | 0x80, EVENT, 13, 0x80 | 64, 0x80 | 95, 72])
    if number == EVENT:
        payload = chance.choice([b"\x05\x0a\x01\x40", b"\x05\x8a\x03\x20", b"\x05"])
    if kind == 7:  # of another shape
        # A CSRC list, an extension of no words, padding, and all three.
        shape = chance.choice([0x81, 0x90, 0xA0, 0xB1])
        header = rtp.pack(number & 0x7F, False, peer.sequence + 1 & 0xFFFF, 0, peer.ssrc)
        ours.send(protect(bytes([shape]) + header[1:] + bytes(8) + payload[:400] + b"\x02"))
        return
    datagram = peer.packet(payload, number)
    side.said.append(datagram)
    if kind == 8:  # damaged
        damaged = bytearray(datagram)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        ours.send(damaged)
    elif kind == 9:
        ours.send(datagram[: chance.randrange(len(datagram))])
    elif kind == 12:
        ours.send(datagram + bytes(DATAGRAM_BYTES_MAX + chance.choice([0, 1]) - len(datagram)))
    elif kind == 10:
        stranger.send(datagram)
    elif kind == 11:  # a flood, of what is proven or not
        for _ in range(chance.choice([40, 300])):
            ours.send(chance.choice([datagram, datagram[:-1], b"\x80" + bytes(40)]))
    else:
        ours.send(datagram)


@pytest.mark.parametrize("seed", range(12))
def test_both_ways_do_the_same_whatever_comes(native: ModuleType, seed: int) -> None:
    async def play() -> None:
        sides = await both_sides(native)
        for step in range(250):
            for side in sides:
                act(side, random.Random(1_000 * seed + step))
                if step % 3 == 0:
                    side.move()
                    side.endpoint.tick(side.now_ns)
            if step % 3 == 0:
                assert sides[0].state() == sides[1].state()
        for side in sides:
            side.close()

    asyncio.run(play())


def test_audio_is_carried_past_python_and_nothing_else_is(native: ModuleType) -> None:
    async def play() -> None:
        with way_of(native):
            side = await Side().connect()
        side.peer.send_audio(FRAME)  # its source is not known yet
        side.move()
        side.endpoint.counters.datagrams = 0
        for _ in range(100):
            side.peer.send_audio(FRAME)
        side.move()
        assert side.endpoint.counters.datagrams == 0
        assert len(side.events) == len(side.peer.audio) + 1 == 102  # connected, then heard
        side.peer.send_rtcp(rtcp.receiver_report(SSRC, None, "browser"))
        side.move()
        assert side.endpoint.counters.datagrams == 1
        side.close()

    asyncio.run(play())


def test_an_address_that_another_session_takes_is_its(native: ModuleType) -> None:
    async def play() -> None:
        with way_of(native):
            side = await Side().connect()
        side.peer.send_audio(FRAME)
        side.move()
        endpoint, address = side.endpoint, side.sockets[0].getsockname()
        other, _ = endpoint.accept(Peer(side.sockets[0].send).offer())
        endpoint.latch(other, address)
        side.peer.send_audio(FRAME)
        side.move()
        assert (side.session.packets_in, other.wrong_source) == (1, 1)
        endpoint.latch(side.session, address)
        side.peer.send_audio(FRAME)
        side.move()
        assert side.session.packets_in == 2
        side.close()

    asyncio.run(play())


def test_a_call_moves_to_the_address_that_is_nominated(native: ModuleType) -> None:
    async def play() -> None:
        with way_of(native):
            side = await Side().connect()
        side.sockets.reverse()
        side.peer.send = side.sockets[0].send
        side.peer.send(side.peer.check())
        side.move()
        for _ in range(3):
            side.peer.send_audio(FRAME)
        side.move()
        assert [packet[3] for packet in side.peer.audio] == [FRAME[::-1]] * 3
        side.close()

    asyncio.run(play())


# -- faults and ends ------------------------------------------------------------------------------


class Session:
    """Notes what it is given; `act` may do more."""

    def __init__(self) -> None:
        self.packets: list[tuple[Any, ...]] = []
        self.refused: list[int] = []
        self.act: Callable[[], object] = lambda: None

    def take_packet(self, *packet: Any) -> None:
        self.packets.append(packet)
        self.act()

    def packet_refused(self, status: int) -> None:
        self.refused.append(status)


class World:
    """A reader of one socket, with one line, and who speaks to it."""

    def __init__(self, native: ModuleType, limits: BudgetLimits = DATAGRAMS) -> None:
        number, key, salt = PROFILES[b"SRTP_AEAD_AES_128_GCM"]
        ours, theirs = b"s" * (key + salt), b"c" * (key + salt)
        self.transport = SrtpTransport(SrtpKeys(number, client=theirs, server=ours), SSRC)
        self._keys = SrtpKeys(number, client=ours, server=theirs)
        self.peer = SrtpTransport(self._keys, SSRC)
        self.session = Session()
        with way_of(native):
            self.line: Any = direct.make_line(self.session, self.transport, limits)
        self.near, self.far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self.near, self.far):
            one.bind((HOST, 0))
            one.setblocking(False)
        self.address = self.far.getsockname()
        self.far.connect(self.near.getsockname())
        self.others: list[bytes] = []
        self.faults: list[Exception] = []
        self.reader = native.Reader(
            self.near.fileno(), DATAGRAM_BYTES_MAX, self.take, self.faults.append
        )
        self.reader.route(self.address, self.line)
        self.line.hear(SSRC)
        self.line.aim(self.near.fileno(), self.address)

    def take(self, datagram: bytes, address: Any) -> None:
        assert address == self.address
        self.others.append(datagram)

    def say(self, *sequences: int, ssrc: int = SSRC) -> None:
        peer = self.peer if ssrc == SSRC else SrtpTransport(self._keys, ssrc)
        for sequence in sequences:
            packet = rtp.pack(0, False, sequence, 160 * sequence, ssrc) + FRAME
            self.far.send(peer.protect(packet))

    def close(self) -> None:
        self.reader.close()
        self.line.close()
        self.near.close()
        self.far.close()


@pytest.fixture
def world(native: ModuleType) -> Iterator[World]:
    world = World(native)
    yield world
    world.close()


def test_fields_are_delivered_in_order_and_in_batches(native: ModuleType, world: World) -> None:
    world.say(*range(1, native.BATCH + 6))
    assert world.reader.read(77) == native.BATCH
    assert world.reader.read(78) == 5
    assert world.reader.read(79) == 0
    assert world.session.packets == [
        (0, n, 160 * n, FRAME, 77 if n <= native.BATCH else 78) for n in range(1, native.BATCH + 6)
    ]


def test_a_fault_is_told_and_what_follows_is_delivered(world: World) -> None:
    world.session.act = lambda: 1 // 0
    world.say(1, 2)
    assert world.reader.read(1) == 2
    assert [type(fault) for fault in world.faults] == [ZeroDivisionError] * 2
    assert len(world.session.packets) == 2


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_raised(world: World, ending: type[BaseException]) -> None:
    def end() -> None:
        raise ending

    world.session.act = end
    world.say(1, 2)
    with pytest.raises(ending):
        world.reader.read(1)
    world.session.act = lambda: None
    world.say(3)
    assert world.reader.read(1) == 1
    assert [packet[1] for packet in world.session.packets] == [1, 3]


def test_a_fault_of_whoever_takes_the_rest_is_told_too(native: ModuleType, world: World) -> None:
    def fail(*_: object) -> None:
        raise ValueError

    reader = native.Reader(world.near.fileno(), 100, fail, world.faults.append)
    world.far.send(b"?")
    assert reader.read(1) == 1
    assert [type(fault) for fault in world.faults] == [ValueError]


def test_a_fault_of_the_report_is_raised(native: ModuleType, world: World) -> None:
    def fail(*_: object) -> None:
        raise ValueError("told")

    reader = native.Reader(world.near.fileno(), 100, fail, fail)
    world.far.send(b"?")
    with pytest.raises(ValueError, match="told"):
        reader.read(1)
    world.far.send(b"?")
    with pytest.raises(ValueError, match="told"):
        reader.read(1)


def test_a_port_closed_by_a_session_delivers_nothing_more(world: World) -> None:
    world.session.act = world.reader.close
    world.say(1, 2, 3)
    assert world.reader.read(1) == 3
    assert len(world.session.packets) == 1
    assert world.reader.read(1) == 0


def test_a_line_closed_by_its_session_delivers_nothing_more(world: World) -> None:
    world.session.act = world.line.close
    world.say(1, 2)
    world.reader.read(1)
    assert len(world.session.packets) == len(world.others) == 1
    assert world.line.send(0, 1, 1, SSRC, FRAME) is False
    world.line.hear(SSRC)
    world.line.aim(world.near.fileno(), world.address)
    world.say(3)
    world.reader.read(1)
    assert len(world.session.packets) == 1
    assert world.line.send(0, 2, 1, SSRC, FRAME) is False
    world.line.close()


def test_it_is_not_read_from_within(world: World) -> None:
    world.session.act = lambda: world.reader.read(1)
    world.say(1)
    world.reader.read(1)
    assert [type(fault) for fault in world.faults] == [RuntimeError]


def test_another_source_and_another_address_are_for_python(world: World) -> None:
    world.say(1, ssrc=5)
    world.reader.route(world.address, None)
    world.reader.route(world.address, None)
    world.say(2)
    assert world.reader.read(1) == 2
    assert len(world.others) == 2
    assert world.session.packets == []


def test_what_libsrtp_refuses_is_told(world: World) -> None:
    world.far.send(rtp.pack(0, False, 1, 1, SSRC) + FRAME)
    packet = world.peer.protect(rtp.pack(0, False, 2, 1, SSRC) + FRAME)
    world.far.send(packet)
    world.far.send(packet)
    world.reader.read(1)
    for status in world.session.refused:
        world.transport.count_refused(status)
    assert len(world.session.packets) == 1
    assert (world.transport.bad_packets, world.transport.replayed) == (1, 1)


@given(
    moves=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), min_size=1, max_size=12),
    burst=st.integers(1, 8),
)
def test_the_budget_is_pythons(
    native: ModuleType, moves: list[tuple[int, int]], burst: int
) -> None:
    limits = BudgetLimits(frame_ns=10, burst_frames=burst)
    world, budget = World(native, limits), FrameBudget(limits)
    now_ns = sequence = dropped = 0
    for step_ns, count in moves:
        now_ns += step_ns
        world.say(*range(sequence, sequence + count))
        sequence += count
        world.reader.read(now_ns)
        dropped += sum(bool(budget.spend(now_ns, 1)) for _ in range(count))
    world.close()
    assert world.line.excess == dropped
    assert len(world.session.packets) == sequence - dropped


# -- sending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 160, PAYLOAD_BYTES_MAX])
def test_a_packet_is_sent_as_python_would_pack_it(world: World, size: int) -> None:
    payload = bytes(range(256)) * 4
    assert world.line.send(0x80, 0xFFFF, 2**32 - 1, SSRC, payload[:size])
    sent = world.peer.unprotect(world.far.recv(2_000))
    assert sent == rtp.pack(0, True, 0xFFFF, 2**32 - 1, SSRC) + payload[:size]


def test_a_packet_that_cannot_be_protected_raises(world: World) -> None:
    world.line.send(0, 1, 1, SSRC, FRAME)
    with pytest.raises(Error):
        world.line.send(0, 1, 1, SSRC, FRAME)


def test_what_the_kernel_does_not_accept_is_told(native: ModuleType, world: World) -> None:
    world.near.close()
    assert world.line.send(0, 1, 1, SSRC, FRAME) is False


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (0, 1, 1, SSRC),
        (0, 1, 1, SSRC, "text"),
        (0, 1, 1, SSRC, bytes(PAYLOAD_BYTES_MAX + 1)),
        (0, "1", 1, SSRC, FRAME),
        (0, -1, 1, SSRC, FRAME),
    ],
)
def test_what_is_no_packet_is_refused(world: World, fields: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, OverflowError)):
        world.line.send(*fields)


@pytest.mark.parametrize(
    "address", [("name.invalid", 1), ("::1", 1), (HOST, 1, 0, 0), (HOST,), ("::1", "1", 0, 0)]
)
def test_what_is_no_address_is_refused(world: World, address: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        world.line.aim(world.near.fileno(), address)
    with pytest.raises((TypeError, ValueError)):
        world.reader.route(address, world.line)


def test_what_is_no_line_is_refused(world: World) -> None:
    with pytest.raises(TypeError):
        world.reader.route(world.address, object())


# -- memory ---------------------------------------------------------------------------------------


def test_a_line_and_its_session_go_without_the_collector_once_it_is_closed(
    native: ModuleType,
) -> None:
    world = World(native)
    world.say(1)
    world.reader.read(1)
    session, transport = weakref.ref(world.session), world.transport
    world.close()
    gc.disable()
    try:
        world.session = Session()
        assert session() is None
    finally:
        gc.enable()
    assert transport.contexts


def test_the_collector_sees_through_a_line_that_nobody_closed(native: ModuleType) -> None:
    world = World(native)
    session = weakref.ref(world.session)
    world.session.act = partial(repr, world.line)
    world.near.close()
    world.far.close()
    del world
    gc.collect()
    assert session() is None
