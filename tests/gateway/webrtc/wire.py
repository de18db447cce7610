"""One session and one peer, joined by lists instead of a network, with a clock that tests move."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

from gateway.ports import AudioSession, SessionState
from gateway.webrtc.dtls import DtlsContext, make_certificate
from gateway.webrtc.host import Address, Credentials, SessionTimeouts
from gateway.webrtc.outgoing import RtpStart
from gateway.webrtc.sdp import SdpAnswer, parse_offer, write_answer
from gateway.webrtc.session import WebRtcSession
from gateway.webrtc.srtp import SrtpTransport
from tests.gateway.webrtc.peer import Peer

MS = 1_000_000
SECOND = 1_000 * MS
HERE: Address = ("192.0.2.1", 40_000)
THERE: Address = ("198.51.100.7", 50_000)
SERVER_PASSWORD = "f" * 32
TIMEOUTS = SessionTimeouts(connect_ns=10 * SECOND, consent_ns=30 * SECOND)


@functools.cache
def context() -> DtlsContext:
    """One context for all tests, as for all calls of a node."""
    return DtlsContext(make_certificate(datetime.now(UTC)))


class Wire:
    """The session's host, and the peer's network."""

    def __init__(self, **peer_options: Any) -> None:
        self.now_ns = SECOND
        self.to_server: list[bytes] = []
        self.sent: list[tuple[bytes, Address]] = []
        """What the session has sent and nobody has delivered."""
        self.latched: dict[Address, WebRtcSession] = {}
        self.retired: list[str] = []
        self.ended = 0
        self.connections = 0
        self.peer = Peer(self.to_server.append, **peer_options)
        self.audio: list[tuple[int, int, bytes]] = []
        self.digits: list[tuple[str, int]] = []
        self.states: list[SessionState] = []
        self.source: Address = HERE
        """Where the peer sends from."""
        self.session = self._make_session()

    def _make_session(self) -> WebRtcSession:
        offer = parse_offer(self.peer.offer())
        session = WebRtcSession(
            self,
            context(),
            offer,
            credentials=Credentials("server01", SERVER_PASSWORD, self.peer.ufrag),
            start=RtpStart(ssrc=7_000, sequence=32_767, timestamp=2**32 - 160, cname="cname"),
            timeouts=TIMEOUTS,
            now_ns=self.now_ns,
        )
        session.on_audio = lambda *packet: self.audio.append(packet)
        session.listener = self
        self.answer("server01", SERVER_PASSWORD)
        return session

    def pressed(self, digit: str, duration_ms: int) -> None:
        self.digits.append((digit, duration_ms))

    def session_changed(self, session: AudioSession, state: SessionState) -> None:
        self.states.append(state)

    def answer(self, ufrag: str, password: str) -> None:
        """Give the peer an answer with these credentials."""
        fingerprint = context().certificate.fingerprint
        answer = SdpAnswer(1, ufrag, password, fingerprint, [("192.0.2.9", 9)], 7_000, "cname", 20)
        self.peer.accept(write_answer(parse_offer(self.peer.offer()), answer))

    # -- the session's host ------------------------------------------------------------------

    def send(self, datagram: bytes, address: Address) -> None:
        self.sent.append((datagram, address))

    def latch(self, session: WebRtcSession, address: Address) -> None:
        self.latched[address] = session

    def unlatch(self, session: WebRtcSession, address: Address) -> None:
        del self.latched[address]

    def retire(self, ufrag: str) -> None:
        self.retired.append(ufrag)

    def make_line(self, session: WebRtcSession, transport: SrtpTransport) -> None:
        """There is no port: datagrams are in lists."""

    def aim(self, line: object, address: Address) -> None:
        raise AssertionError

    def not_sent(self) -> None:
        raise AssertionError

    def connected(self, session: WebRtcSession) -> None:
        self.connections += 1

    def forget(self, session: WebRtcSession) -> None:
        self.ended += 1

    # -- the network -------------------------------------------------------------------------

    def deliver(self, datagram: bytes, source: Address | None = None) -> None:
        """Bring one datagram to the session, by its first byte."""
        address = source or self.source
        if datagram[0] < 4:
            ufrag = self.peer.remote_ufrag
            self.session.receive_check(datagram, ufrag, address, self.now_ns)
        elif datagram[0] < 64:
            self.session.receive_dtls(datagram, address, self.now_ns)
        else:
            self.session.receive_media(datagram, address, self.now_ns)

    def pump(self) -> None:
        """Bring everything both ways until nobody has more to say."""
        while self.to_server or self.sent:
            for datagram in take(self.to_server):
                self.deliver(datagram)
            for datagram, _ in take(self.sent):
                self.peer.receive(datagram)

    def connect(self) -> Wire:
        """Bring the session up."""
        self.peer.connect()
        self.pump()
        assert self.peer.connected
        assert self.session.state is SessionState.CONNECTED
        return self

    def check(self, source: Address | None = None, **options: Any) -> list[tuple[bytes, Address]]:
        """Send one check and return what it was answered with."""
        self.deliver(self.peer.check(**options), source)
        return take(self.sent)


def take(queue: list[Any]) -> list[Any]:
    """Empty a list and return what was in it."""
    everything = queue[:]
    queue.clear()
    return everything
