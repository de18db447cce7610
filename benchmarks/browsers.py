"""Generates WebRTC load: simulated browsers, paced and checked packet by packet.

Runs in the calling process, on the core it is pinned to: one loop that spins for the length of a
window, so that a latency is the server's own. Takes legs that are already connected. The audio
encodes its call, its position and its time, so that what is received can be verified by itself.
"""

from __future__ import annotations

import gc
import random
import select
import socket
import struct
import time
from binascii import hexlify, unhexlify
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Protocol

from pylibsrtp import Policy, Session

from benchmarks import loopback
from benchmarks.dial import DialError
from gateway.webrtc.stun import BINDING_REQUEST, binding_success, read_request
from media import rtcp
from tests.gateway.webrtc.peer import Peer

PERIOD_NS = 20_000_000
SENDS_PER_TURN = 16
"""A late loop still reads between two bursts."""
DRAIN_S = 0.24
"""How long the packets of a window may still arrive after its end; later ones are lost to a
listener. Others follow meanwhile: a server that hears nothing has to start its playout again."""
CHECK_NS = 2_500_000_000
"""Browsers check the consent of their peer so often, and report on their stream."""
CONNECT_S_MAX = 5.0
FRAME_BYTES = 160
DATAGRAM_BYTES_MAX = 2048
_OPEN = 1 << 62
_HEAD = struct.Struct("!IIQ")
_HEAD_BYTES = 2 * _HEAD.size
_DIGITS = b"0123456789abcdef"
_FAINT = bytes(range(0xF0, 0x100))
"""Mu-law bytes of next to no amplitude, one for each hexadecimal digit."""
_TO_NOISE, _FROM_NOISE = bytes.maketrans(_DIGITS, _FAINT), bytes.maketrans(_FAINT, _DIGITS)


@dataclass(slots=True)
class Tally:
    """Packets of one window, all legs and both directions together."""

    sent: int = 0
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    altered: int = 0
    """Pieces that nobody had spoken, silence apart: a gap that was filled, or damage."""
    closed: int = 0
    """Legs that the server ended."""

    @property
    def faults(self) -> dict[str, int]:
        """Everything that a listener could hear as a gap or as noise, with its count."""
        names = (f.name for f in fields(self) if f.name not in ("sent", "received"))
        return {name: count for name in names if (count := getattr(self, name))}


@dataclass(slots=True)
class Voice:
    """One direction of one call: what is spoken on one leg, and what of it is heard on another.

    It is the noise of a quiet room: a playout model can take a little away when the call begins, as
    in a pause of speech, and then lets it pass. Loud noise it would try to shorten for ever.
    """

    call: int
    body: bytes
    said: int = 0
    """Sequence number of the next packet."""
    expected: int = 0
    first: int = 0
    """Where the window began; what was said before does not count."""
    end: int = _OPEN
    """Where the window ended; what is said after it does not count."""
    missing: set[int] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    latencies_ns: list[int] = field(default_factory=list)

    def speak(self, now_ns: int) -> bytes:
        """Return the next 20 ms."""
        # Each half byte of the head becomes a faint sound, so that the packet stays quiet as a
        # whole.
        head = hexlify(_HEAD.pack(self.call, self.said, now_ns)).translate(_TO_NOISE)
        self.said += 1
        return head + self.body

    def hear(self, payload: bytes, now_ns: int) -> None:
        """Check and count a packet that arrived at the other end."""
        if len(payload) != FRAME_BYTES or payload[_HEAD_BYTES:] != self.body:
            # After the window a server that hears nothing fills the gap, which is no fault. Silence
            # gives a playout its lead.
            self.tally.altered += self.end == _OPEN and not _is_silence(payload)
            return
        try:
            head = unhexlify(payload[:_HEAD_BYTES].translate(_FROM_NOISE))
        except ValueError:
            self.tally.altered += 1
            return
        call, sequence, said_ns = _HEAD.unpack(head)
        # Another call's audio, or a packet that was never spoken.
        if call != self.call or sequence >= self.said:
            self.tally.altered += 1
        # Packets of before and after the window arrive within it.
        elif self.first <= sequence < self.end:
            self._count(sequence)
            self.latencies_ns.append(now_ns - said_ns)

    def begin_window(self) -> None:
        """Count from here on."""
        self.first = self.expected = self.said
        self.end = _OPEN
        self.missing.clear()
        self.latencies_ns.clear()
        self.tally = Tally()

    def end_window(self) -> None:
        """Count up to here."""
        self.end = self.said
        self.tally.sent = self.end - self.first

    def give_up(self) -> None:
        """Count what has not come by now as lost."""
        # Gaps between packets that came, and whatever of the window is behind the last of them.
        self.tally.lost = len(self.missing) + self.end - self.expected

    def _count(self, sequence: int) -> None:
        tally = self.tally
        if sequence >= self.expected:
            if sequence > self.expected:
                # Missing until it comes after all: an overtaken packet is not lost.
                self.missing.update(range(self.expected, sequence))
            self.expected = sequence + 1
        elif sequence in self.missing:
            self.missing.remove(sequence)
            tally.reordered += 1
        else:
            tally.duplicated += 1
            return
        tally.received += 1


def new_voice(call: int) -> Voice:
    """Return a voice unlike every other."""
    # From the number of the call: audio that reaches another call is found by itself.
    body = bytes(random.Random(call).choices(_FAINT, k=FRAME_BYTES - _HEAD_BYTES))
    return Voice(call, body)


def _is_silence(payload: bytes) -> bool:
    return not payload.strip(b"\xff")


class Leg(Protocol):
    """One end of a call that sends every 20 ms and hears."""

    voice: Voice
    """What it speaks."""
    heard: Voice
    """What it listens to."""

    def fileno(self) -> int:
        """Return what to wait on."""

    def send(self, now_ns: int) -> None:
        """Send the next 20 ms."""

    def receive(self, now_ns: int) -> None:
        """Take in what has arrived."""

    def close(self) -> None:
        """Release the socket."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of some voices during one window."""

    tally: Tally
    p50_us: float
    p99_us: float
    max_us: float
    """From the write on one leg to the read on another; infinite where nothing was recognized."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How well the generator kept its own schedule during one window."""

    late_p99_us: float
    """Behind the schedule when a packet was sent."""
    busy_share: float
    """Of the time, spent on packets; the rest was waiting for them."""


class LoadLoop:
    """All legs of one server, and the loop that moves them."""

    def __init__(self, seed: int = 0) -> None:
        """Begin with no legs; `seed` chooses when in each 20 ms each of them will speak."""
        self.legs: list[Leg] = []
        self._phases_ns: list[int] = []
        self._chance = random.Random(seed)
        self._listeners: dict[int, Callable[[int], None]] = {}
        self._poll = select.epoll()

    def add(self, leg: Leg) -> None:
        """Send and receive on this leg from the next run on."""
        self.legs.append(leg)
        # Spread over the 20 ms, as calls that began at any time are.
        self._phases_ns.append(self._chance.randrange(PERIOD_NS))
        self.listen(leg.fileno(), leg.receive)

    def listen(self, fd: int, receive: Callable[[int], None]) -> None:
        """Call `receive(now_ns)` whenever something can be read."""
        self._listeners[fd] = receive
        # Level-triggered: a receiver that takes one datagram is called again for the next.
        self._poll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        """Release all sockets."""
        for leg in self.legs:
            leg.close()
        self._poll.close()

    def greet(self) -> None:
        """Speak once on each leg: calls that wait for the others to come up must not seem dead."""
        for leg in self.legs:
            leg.send(time.monotonic_ns())
        self._listen()

    def measure(
        self,
        warm_up_s: float,
        seconds: float,
        *,
        at_start: Callable[[], object] = lambda: None,
        at_end: Callable[[], object] = lambda: None,
    ) -> Pace:
        """Speak for both times together and a little longer.

        Count the second of them, and call at its edges.
        """
        # A collection within the window would look like latency of the server.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._run(warm_up_s)
            for leg in self.legs:
                leg.voice.begin_window()
            # After the voices have begun to count, so that CPU and packets are of the same time.
            at_start()
            late_ns, busy_ns, elapsed_ns = self._run(seconds)
            at_end()
            for leg in self.legs:
                leg.voice.end_window()
            self._run(DRAIN_S)
        finally:
            gc.enable()
            gc.unfreeze()
        for leg in self.legs:
            leg.voice.give_up()
        late_ns.sort()
        return Pace(_percentile_us(late_ns, 0.99), busy_ns / max(1, elapsed_ns))

    def _run(self, seconds: float) -> tuple[list[int], int, int]:
        """Pace all legs; return how late each packet was, the busy and the whole time."""
        clock = time.monotonic_ns
        listeners, poll = self._listeners, self._poll.poll
        order = sorted(zip(self._phases_ns, range(len(self.legs)), strict=True))
        schedule = [(phase_ns, self.legs[n].send) for phase_ns, n in order]
        late_ns: list[int] = []
        turn, idle_ns = 0, 0
        begun_ns = period_ns = last_ns = clock()
        due_ns = period_ns + schedule[0][0]
        end_ns = begun_ns + int(seconds * 1e9)
        # Spins instead of sleeping: to be woken would take longer than what is measured.
        while (now_ns := clock()) < end_ns:
            sends = 0
            while due_ns <= now_ns and sends < SENDS_PER_TURN:
                schedule[turn][1](now_ns)
                late_ns.append(now_ns - due_ns)
                sends += 1
                turn += 1
                if turn == len(schedule):
                    turn = 0
                    period_ns += PERIOD_NS
                due_ns = period_ns + schedule[turn][0]
                # Sending takes time, in which the next packet may have come due.
                now_ns = clock()
            # Without waiting, and bounded, so that reading cannot delay what is due.
            ready = poll(0, 64)
            for fd, _ in ready:
                listeners[fd](clock())
            # A turn that did nothing was waiting; how much of the time that is tells how close the
            # generator is to its limit.
            if not sends and not ready:
                idle_ns += now_ns - last_ns
            last_ns = now_ns
        elapsed_ns = clock() - begun_ns
        return late_ns, elapsed_ns - idle_ns, elapsed_ns

    def _listen(self) -> None:
        """Take in all that has arrived."""
        while ready := self._poll.poll(0, 64):
            for fd, _ in ready:
                self._listeners[fd](time.monotonic_ns())


def sum_up(voices: Iterable[Voice]) -> Heard:
    """Return what became of these voices in the last window."""
    tally, latencies_ns = Tally(), list[int]()
    for voice in voices:
        latencies_ns += voice.latencies_ns
        for part in fields(Tally):
            total = getattr(tally, part.name) + getattr(voice.tally, part.name)
            setattr(tally, part.name, total)
    latencies_ns.sort()
    return Heard(tally, *(_percentile_us(latencies_ns, share) for share in (0.5, 0.99, 1.0)))


def _percentile_us(ascending_ns: Sequence[int], share: float) -> float:
    if not ascending_ns:
        return float("inf")
    # A share of 1 is the largest value.
    return ascending_ns[min(len(ascending_ns) - 1, int(share * len(ascending_ns)))] / 1000


class Browser:
    """One browser on a UDP socket of its own: a full ICE agent, controlling, and DTLS client."""

    def __init__(self, voice: Voice) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # A socket for each, so that the server sees as many addresses as it would browsers.
        self._socket.bind((loopback.HOST, 0))
        self.peer = Peer(self._send_datagram)
        self.peer.on_audio = self._hear
        self.voice = self.heard = voice
        self._packets = 0
        self._check_ns = 0
        self._now_ns = 0

    def fileno(self) -> int:
        """Return the UDP socket's descriptor."""
        return self._socket.fileno()

    @property
    def server_port(self) -> int:
        """The UDP port that answers us."""
        return self.peer.candidates[0][1]

    def offer(self) -> str:
        """Return an offer that names our socket."""
        host, port = self._socket.getsockname()
        return (
            f"{self.peer.offer()}a=candidate:1 1 udp 2130706431 {host} {port} typ host\r\n"
            "a=end-of-candidates\r\n"
        )

    def connect(self, answer: str) -> None:
        """Bring the session up, blocking.

        Raises:
            DialError: it did not come up in time.
        """
        self.peer.accept(answer)
        self._socket.connect((loopback.HOST, self.peer.candidates[0][1]))
        self._socket.settimeout(CONNECT_S_MAX / 10)
        deadline = time.monotonic() + CONNECT_S_MAX
        self.peer.connect()
        while not self.peer.connected:
            if time.monotonic() > deadline or self.peer.closed_by_server:
                raise DialError("the WebRTC session did not come up")
            # A refusal by ICMP shows at the next call on the socket; the deadline decides.
            with suppress(TimeoutError, ConnectionRefusedError):
                self._take(self._socket.recv(DATAGRAM_BYTES_MAX))
        # Blocking until here: the loop that spins comes afterwards.
        self._socket.setblocking(False)

    def send(self, now_ns: int) -> None:
        """Speak the next 20 ms; check and report when that is due."""
        if now_ns >= self._check_ns:
            self._check_and_report(now_ns)
        self._packets += 1
        payload = self.voice.speak(now_ns)
        self._send_datagram(self.peer.packet(payload))

    def receive(self, now_ns: int) -> None:
        """Take one datagram in; the loop calls again while there are more."""
        self._now_ns = now_ns
        with suppress(BlockingIOError, ConnectionRefusedError):
            self._take(self._socket.recv(DATAGRAM_BYTES_MAX))

    def hang_up(self) -> None:
        """Say that the stream and the association end."""
        self.peer.say_bye()
        self.peer.close()

    def close(self) -> None:
        """Release the socket without a word."""
        self._socket.close()

    def _take(self, datagram: bytes) -> None:
        peer = self.peer
        # The gateway is ICE-lite and sends no checks; aiortc does, and ends a browser that is
        # silent.
        if datagram[:2] == BINDING_REQUEST:
            self._answer_check(datagram)
            return
        was_closed = peer.closed_by_server
        peer.receive(datagram)
        # Counted once, at the datagram that says so.
        if peer.closed_by_server and not was_closed:
            self.voice.tally.closed += 1

    def _send_datagram(self, datagram: bytes) -> None:
        with suppress(ConnectionRefusedError):
            self._socket.send(datagram)

    def _hear(self, _sequence: int, _timestamp: int, _marker: bool, payload: bytes) -> None:
        self.heard.hear(payload, self._now_ns)

    def _check_and_report(self, now_ns: int) -> None:
        peer = self.peer
        # The first time only decides when the first check is due.
        if self._check_ns:
            self._send_datagram(peer.check())
            report = rtcp.sender_report(
                peer.ssrc,
                now_ns,
                peer.timestamp,
                packets=self._packets,
                octets=self._packets * FRAME_BYTES,
                block=None,
                cname="browser",
            )
            peer.send_rtcp(report)
        # Not all at the same time, though they begin together.
        self._check_ns = now_ns + CHECK_NS - (0 if self._check_ns else peer.ssrc % CHECK_NS)

    def _answer_check(self, datagram: bytes) -> None:
        key = self.peer.password.encode()
        request = read_request(datagram, key)
        if request is not None:
            host, port = self._socket.getpeername()
            self._send_datagram(binding_success(request, (host, port), key))


class _Mirrored(Browser):
    """One of two browsers that speak to each other with no server between them."""

    def join(self, other: _Mirrored, key: bytes) -> None:
        """Speak to another browser, with a key that it shares."""
        self._socket.connect(other._socket.getsockname())
        self._socket.setblocking(False)
        # The profile that the gateway prefers, so that packets cost the generator the same.
        profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
        outgoing = Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        incoming = Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        self.peer.protect = Session(outgoing).protect
        # No handshake: both ends are given the key, and this is the ceiling of the generator alone.
        other.peer._in = Session(incoming)
        other.heard = self.voice

    def _check_and_report(self, now_ns: int) -> None:
        """Nobody would answer."""


def mirrored_pair(call: int) -> tuple[Browser, Browser]:
    """Return two browsers joined to each other: what is left is the generator's own work."""
    one, other = _Mirrored(new_voice(call)), _Mirrored(new_voice(call + 1))
    # 16 bytes of key and 12 of salt (RFC 7714).
    one.join(other, random.Random(call).randbytes(28))
    other.join(one, random.Random(call + 1).randbytes(28))
    return one, other
