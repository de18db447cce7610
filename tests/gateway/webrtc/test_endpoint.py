"""The shared port: who is found by what, what is dropped, and how many there may be."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.errors import OfferError
from gateway.ports import AudioSession, SessionState
from gateway.webrtc import udp
from gateway.webrtc.dtls import RENEWED_AFTER, make_certificate
from gateway.webrtc.endpoint import (
    ADDRESS_HELD_NS,
    EndpointCounters,
    EndpointLimits,
    WebRtcEndpoint,
)
from gateway.webrtc.host import Address
from gateway.webrtc.session import WebRtcSession
from tests.gateway.webrtc.peer import Peer
from tests.gateway.webrtc.wire import HERE, SECOND, THERE, take

AUDIO = bytes(range(160))
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Recorder(WebRtcEndpoint):
    """An endpoint without sockets: what it sends is kept."""

    def __init__(self, **options: Any) -> None:
        self.now_ns = 100 * SECOND
        self.wall = NOW
        self.sent: list[tuple[bytes, Address]] = []
        super().__init__(
            addresses=["192.0.2.9", "2001:db8::9"],
            port=3_478,
            clock_ns=lambda: self.now_ns,
            wall_clock=lambda: self.wall,
            **options,
        )

    def send(self, datagram: bytes, address: Address) -> None:
        self.sent.append((datagram, address))

    def call(self, source: str = "") -> Call:
        return Call(self, source)


class Call:
    """A peer at an address, joined to the recorder."""

    def __init__(self, endpoint: Recorder, source: str = "") -> None:
        self.endpoint = endpoint
        self.outgoing: list[bytes] = []
        self.peer = Peer(self.outgoing.append)
        self.session, self.answer = endpoint.accept(self.peer.offer(), source)
        self.peer.accept(self.answer)

    def give(self, datagram: bytes, address: Address) -> list[tuple[bytes, Address]]:
        self.endpoint.take(datagram, address)
        return take(self.endpoint.sent)

    def connect(self, address: Address = HERE) -> Call:
        self.peer.connect()
        while self.outgoing:
            for datagram in take(self.outgoing):
                for reply, to in self.give(datagram, address):
                    assert to == address
                    self.peer.receive(reply)
        assert self.session.state is SessionState.CONNECTED
        return self

    def speak(self, address: Address = HERE) -> None:
        self.give(self.peer.packet(AUDIO), address)


# -- answers -------------------------------------------------------------------------------------


def test_the_answer_says_where_who_and_how() -> None:
    endpoint = Recorder(ptime_ms=40)
    call = endpoint.call()
    assert call.peer.candidates == [("192.0.2.9", 3_478), ("2001:db8::9", 3_478)]
    assert f"a=ssrc:{call.session.ssrc} cname:{call.session.cname}\r\n" in call.answer
    assert "a=ice-lite\r\n" in call.answer
    assert "a=setup:passive\r\n" in call.answer
    assert "a=ptime:40\r\n" in call.answer
    other = endpoint.call()
    assert other.peer.remote_ufrag != call.peer.remote_ufrag
    assert other.peer.remote_fingerprint == call.peer.remote_fingerprint


def test_a_renewed_certificate_is_for_new_sessions_only() -> None:
    endpoint = Recorder()
    old = endpoint.call()
    endpoint.wall += RENEWED_AFTER + timedelta(hours=1)
    new = endpoint.call()
    assert old.peer.remote_fingerprint != new.peer.remote_fingerprint
    old.connect(HERE)
    new.connect(THERE)


@pytest.mark.parametrize("offer", ["", "v=0\r\n", "x" * 20_000])
def test_a_bad_offer_leaves_nothing_behind(offer: str) -> None:
    endpoint = Recorder()
    with pytest.raises(OfferError):
        endpoint.accept(offer)
    assert len(endpoint) == endpoint.pending == 0


# -- many calls, one port ------------------------------------------------------------------------


def test_each_address_reaches_its_own_session() -> None:
    endpoint = Recorder()
    calls = {("192.0.2.1", 4_000 + n): endpoint.call() for n in range(20)}
    heard: dict[Any, list[bytes]] = {address: [] for address in calls}
    for address, call in calls.items():
        call.connect(address)
        call.session.on_audio = lambda *packet, to=heard[address]: to.append(packet[2])
    for number, (address, call) in enumerate(calls.items()):
        call.give(call.peer.packet(bytes([number]) * 160), address)
    assert list(heard.values()) == [[bytes([n]) * 160] for n in range(20)]
    assert endpoint.counters.connected == 20
    assert endpoint.pending == 0


def test_a_packet_of_one_session_at_another_ones_address_is_not_heard() -> None:
    endpoint = Recorder()
    one, two = endpoint.call().connect(HERE), endpoint.call().connect(THERE)
    heard: list[bytes] = []
    one.session.on_audio = two.session.on_audio = lambda *packet: heard.append(packet[2])
    endpoint.take(one.peer.packet(AUDIO), THERE)
    assert heard == []
    assert two.session.bad_packets == 1


def test_a_living_sessions_address_is_not_taken_away_but_a_dead_ones_is() -> None:
    endpoint = Recorder()
    one, two = endpoint.call().connect(), endpoint.call()
    assert two.give(two.peer.check(), HERE) == []
    assert endpoint.counters.held_address == 1
    one.speak()
    assert one.session.packets_in == 1
    endpoint.now_ns += ADDRESS_HELD_NS
    assert two.give(two.peer.check(), HERE)
    one.speak()
    assert one.session.packets_in == 1
    one.session.close()
    take(endpoint.sent)
    two.connect()
    two.speak()
    assert two.session.packets_in == 1


def test_an_ended_session_is_forgotten_whole() -> None:
    endpoint = Recorder()
    for end in ("close", "restart", "expire"):
        call = endpoint.call().connect()
        call.give(call.peer.check(use_candidate=False), THERE)
        if end == "restart":
            endpoint.restart(call.session, call.peer.offer(renew=True))
        if end == "expire":
            endpoint.tick(endpoint.now_ns + 31 * SECOND)
        else:
            call.session.close()
        assert len(endpoint) == endpoint.pending == 0
        assert (endpoint._by_ufrag, endpoint._by_address, endpoint._pending_of) == ({}, {}, {})
    assert (endpoint.counters.closed, endpoint.counters.failed) == (2, 1)


# -- ICE restart ---------------------------------------------------------------------------------


def test_an_ice_restart_moves_a_call_to_another_address() -> None:
    endpoint = Recorder()
    call = endpoint.call().connect()
    before = call.answer
    call.answer = endpoint.restart(call.session, call.peer.offer(renew=True))
    call.peer.accept(call.answer)
    assert line(before, "o=").replace(" 1 IN", " 2 IN") == line(call.answer, "o=")
    assert line(before, "a=fingerprint") == line(call.answer, "a=fingerprint")
    assert line(before, "a=ice-ufrag") != line(call.answer, "a=ice-ufrag")
    ((reply, to),) = call.give(call.peer.check(), THERE)
    call.peer.receive(reply)
    assert (to, call.peer.mapped) == (THERE, THERE)
    call.session.send_audio(AUDIO)
    ((datagram, to),) = take(endpoint.sent)
    call.peer.receive(datagram)
    assert to == THERE
    assert call.peer.audio[-1][3] == AUDIO
    assert len(endpoint._by_ufrag) == 1
    assert call.session.state is SessionState.CONNECTED


def line(sdp: str, start: str) -> str:
    return next(line for line in sdp.splitlines() if line.startswith(start))


def test_a_restart_by_another_browser_or_after_the_end_is_refused() -> None:
    endpoint = Recorder()
    call = endpoint.call().connect()
    other = Peer(lambda _: None, certificate=make_certificate(NOW))
    with pytest.raises(OfferError) as refused:
        endpoint.restart(call.session, other.offer())
    assert refused.value.code == "other_peer"
    call.session.close()
    with pytest.raises(OfferError) as refused:
        endpoint.restart(call.session, call.peer.offer(renew=True))
    assert refused.value.code == "session_ended"
    assert endpoint._by_ufrag == {}


# -- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (EndpointLimits(sessions_max=3), "sessions_full"),
        (EndpointLimits(pending_max=3), "pending_full"),
        (EndpointLimits(pending_per_source_max=3), "source_full"),
    ],
)
def test_sessions_are_bounded(limits: EndpointLimits, code: str) -> None:
    endpoint = Recorder(limits=limits)
    calls = [endpoint.call("one") for _ in range(3)]
    with pytest.raises(OfferError) as refused:
        endpoint.call("one")
    assert refused.value.code == code
    calls[0].connect()
    if code == "sessions_full":
        calls[0].session.close()
    endpoint.call("one")


def test_pending_sessions_of_one_source_do_not_bound_another() -> None:
    endpoint = Recorder(limits=EndpointLimits(pending_per_source_max=1))
    endpoint.call("one")
    endpoint.call("two")
    endpoint.call()
    endpoint.call()
    endpoint.tick(endpoint.now_ns + 10 * SECOND)
    assert endpoint.counters.failed == 4
    endpoint.call("one")


def test_a_thousand_sources_without_our_password_cost_no_answer_and_no_memory() -> None:
    endpoint = Recorder()
    call = endpoint.call()
    good = call.peer.check(password="x" * 32)
    hello: list[bytes] = []
    Peer(hello.append).say_hello()
    for number in range(1_000):
        address = ("203.0.113.1", 1_024 + number)
        assert call.give(good, address) == []
        assert call.give(hello[0], address) == []
        assert call.give(b"\x80" * 172, address) == []
        assert call.give(b"\x80\xc8" + bytes(30), address) == []
    assert endpoint._by_address == {}
    assert endpoint.counters.bad_integrity == 1_000
    assert endpoint.counters.unknown_source == 3_000
    call.connect()


@settings(max_examples=5 * settings.default.max_examples)
@given(st.binary(max_size=1_600))
def test_noise_is_never_answered(noise: bytes) -> None:
    endpoint = Recorder()
    call = endpoint.call()
    assert call.give(noise, HERE) == []
    assert endpoint.counters.handler_faults == 0
    counters = endpoint.counters
    dropped = (
        counters.alien + counters.unknown_source + counters.unknown_ufrag + counters.bad_integrity
    )
    assert dropped == counters.datagrams == 1


@given(st.integers(0, 2**32))
def test_mutated_checks_are_never_answered(seed: int) -> None:
    chance = random.Random(seed)
    endpoint = Recorder()
    call = endpoint.call()
    check = bytearray(call.peer.check())
    for at in chance.sample(range(len(check) - 8), chance.randint(1, 4)):
        check[at] ^= chance.randrange(1, 256)
    assert call.give(bytes(check), HERE) == []
    assert endpoint._by_address == {}


def test_a_fault_of_one_calls_handler_ends_neither_the_call_nor_the_others() -> None:
    endpoint = Recorder()
    one, two = endpoint.call().connect(HERE), endpoint.call().connect(THERE)

    class Failing:
        def pressed(self, *_: object) -> None:
            raise RuntimeError

        session_changed = pressed

    one.session.on_audio = Failing().pressed
    with capture_logs() as logs:
        one.speak(HERE)
        two.speak(THERE)
        one.session.listener = Failing()
        endpoint.tick(endpoint.now_ns + 31 * SECOND)
    assert two.session.packets_in == 1
    assert len(endpoint) == 0
    assert endpoint.counters.handler_faults == 2
    assert [(line["event"], line["faults"]) for line in logs] == [
        ("webrtc session handler failed", 1),
        ("webrtc session handler failed", 2),
    ]


# -- memory --------------------------------------------------------------------------------------

CYCLES, WARM_UP = 800, 100
STATM = Path("/proc/self/statm")


@pytest.mark.thorough
@pytest.mark.skipif(not STATM.exists(), reason="platform: memory is read from Linux's /proc")
def test_calls_that_have_ended_leave_no_memory_behind() -> None:
    endpoint = Recorder()
    resident = 0
    for cycle in range(CYCLES):
        if cycle == WARM_UP:
            gc.collect()
            resident = resident_kib()
        call = endpoint.call().connect()
        call.session.on_audio = lambda *packet, session=call.session: session.send_audio(packet[2])
        for _ in range(10):
            call.speak()
        call.session.close()
        take(endpoint.sent)
    gc.collect()
    assert resident_kib() - resident < 5 * 1024


def resident_kib() -> int:
    return int(STATM.read_text().split()[1]) * 4


def test_an_ended_session_needs_no_collector_to_go() -> None:
    # What other tests have left is not looked through.
    gc.collect()
    gc.freeze()
    endpoint = Recorder()
    call = endpoint.call().connect()
    heard: list[WebRtcSession] = []
    call.session.on_audio = lambda *_: heard.append(call.session)
    call.session.close()
    gc.collect()
    gc.disable()
    try:
        before = len([found for found in gc.get_objects() if isinstance(found, WebRtcSession)])
        del call.session
        after = len([found for found in gc.get_objects() if isinstance(found, WebRtcSession)])
    finally:
        gc.enable()
    assert before - after == 1


# -- real sockets, on both loops -----------------------------------------------------------------

LOOPS = [
    uvloop.new_event_loop,
    asyncio.new_event_loop,
]


class Browser:
    """A peer with a socket of its own."""

    def __init__(self, endpoint: WebRtcEndpoint, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.endpoint = endpoint
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect((host, endpoint.port))
        self.peer = Peer(self.socket.send)
        self.session, answer = endpoint.accept(self.peer.offer())
        self.peer.accept(answer)
        self.changed = asyncio.Event()
        self.states: list[SessionState] = []
        self.heard: list[bytes] = []
        self.session.listener = self
        self.session.on_audio = self._audio
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def pressed(self, digit: str, duration_ms: int) -> None:
        """Nobody dials."""

    def session_changed(self, _session: AudioSession, state: SessionState) -> None:
        self.states.append(state)
        self.changed.set()

    def _audio(self, _sequence: int, _timestamp: int, payload: bytes) -> None:
        self.heard.append(payload)
        self.session.send_audio(payload)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.peer.receive(self.socket.recv(2_000))
        self.changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                self.changed.clear()
                await self.changed.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()


@contextlib.asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[WebRtcEndpoint]:
    endpoint = WebRtcEndpoint(addresses=["127.0.0.1", "::1"], **options)
    await endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.usefixtures("way")
def test_a_call_over_real_sockets(make_loop: Any, host: str) -> None:
    async def run() -> None:
        async with listening() as endpoint:
            browser = Browser(endpoint, host)
            assert browser.peer.candidates == [("127.0.0.1", endpoint.port), ("::1", endpoint.port)]
            clock = asyncio.get_running_loop().time
            begun = clock()
            browser.peer.connect()
            await browser.until(lambda: browser.peer.connected)
            assert clock() - begun < 2
            assert browser.peer.mapped == browser.socket.getsockname()[:2]
            frames = [random.Random(n).randbytes(160) for n in range(50)]
            for frame in frames:
                browser.peer.send_audio(frame)
            await browser.until(lambda: len(browser.peer.audio) == 50)
            assert browser.heard == [payload for *_, payload in browser.peer.audio] == frames
            browser.peer.close()
            await browser.until(lambda: bool(browser.states[1:]))
            assert browser.states == [SessionState.CONNECTED, SessionState.CLOSED]
            browser.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.usefixtures("way")
def test_stop_says_goodbye_and_frees_the_port(make_loop: Any) -> None:
    async def run() -> None:
        async with listening() as endpoint:
            browser = Browser(endpoint, "127.0.0.1")
            browser.peer.connect()
            await browser.until(lambda: browser.peer.connected)
            port = endpoint.port
            endpoint.stop()
            await browser.until(lambda: browser.peer.closed_by_server)
            browser.session.send_audio(AUDIO)
            assert browser.states == [SessionState.CONNECTED, SessionState.CLOSED]
            browser.close()
        again = WebRtcEndpoint(addresses=["127.0.0.1"], port=port)
        await again.start()
        assert again.port == port
        again.stop()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(run())


async def test_a_port_in_use_is_told() -> None:
    async with listening() as endpoint:
        second = WebRtcEndpoint(addresses=["127.0.0.1"], port=endpoint.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()


async def test_a_second_family_that_cannot_be_bound_frees_the_first() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as occupant:
        occupant.bind(("::1", 0))
        port = occupant.getsockname()[1]
        endpoint = WebRtcEndpoint(addresses=["127.0.0.1", "::1"], port=port)
        with pytest.raises(OSError, match="in use"):
            await endpoint.start()
        assert endpoint._ports == {}


@pytest.mark.parametrize(
    ("addresses", "host", "bound"),
    [
        (["127.0.0.1"], "", ["127.0.0.1"]),
        (["127.0.0.1", "::1"], "", ["127.0.0.1", "::1"]),
        (["127.0.0.1", "::1"], "127.0.0.1", ["127.0.0.1"]),
        (["127.0.0.1", "127.0.0.2"], "", ["0.0.0.0"]),
        (["192.0.2.1"], "", ["0.0.0.0"]),
        (["2001:db8::1"], "", ["::"]),
        (["192.0.2.1"], "::", ["::"]),
    ],
)
async def test_answers_come_from_the_address_that_was_asked(
    addresses: list[str], host: str, bound: list[str]
) -> None:
    endpoint = WebRtcEndpoint(addresses=addresses, host=host)
    await endpoint.start()
    names = [port.name for port in endpoint._ports.values()]
    endpoint.stop()
    assert [name[0] for name in names] == bound
    assert {name[1] for name in names} == {endpoint.port}


async def test_a_host_that_is_not_ours_is_told() -> None:
    with pytest.raises(OSError, match="assign"):
        await WebRtcEndpoint(addresses=["192.0.2.1"], host="192.0.2.1").start()


@pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="platform: Linux's /proc/net/udp")
async def test_drops_of_the_kernel_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "BUFFER_BYTES", 4_096)
    async with listening() as endpoint:
        assert endpoint.kernel_drops() == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            for _ in range(100):
                flood.sendto(b"\x80" * 1_000, ("127.0.0.1", endpoint.port))
        assert 50 < endpoint.kernel_drops() <= 100
    assert endpoint.kernel_drops() == 0


def test_a_system_that_does_not_tell_drops_has_none() -> None:
    assert udp.drops("/nowhere/net/udp", {"1"}) == 0


async def test_what_the_kernel_does_not_take_is_counted_and_not_kept() -> None:
    async with listening() as endpoint:
        endpoint.send(b"too long" * 10_000, ("127.0.0.1", 9))
        assert endpoint.counters == EndpointCounters(unsent=1)
    endpoint.send(b"nobody listens", ("127.0.0.1", 9))
    assert endpoint.counters == EndpointCounters(unsent=2)


def test_a_session_is_judged_by_what_has_been_read() -> None:
    """After a standstill its checks wait in the port."""
    endpoint = Recorder()
    call, pending = endpoint.call().connect(), endpoint.call()
    read_ns = endpoint.now_ns + SECOND
    endpoint.tick(endpoint.now_ns + 100 * SECOND, read_ns)
    assert call.session.state is SessionState.CONNECTED
    assert pending.session.state is SessionState.NEW
    endpoint.tick(endpoint.now_ns + 100 * SECOND)
    assert call.session.state is pending.session.state is SessionState.FAILED
