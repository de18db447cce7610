"""A browser's end of a WebRTC call, without sockets and clocks: for tests and for load.

It is the controlling agent (RFC 8445): it offers, checks with USE-CANDIDATE, is the DTLS client,
and speaks SRTP. What it wants to send it gives to `send`; what arrives is given to `receive`.
"""

from __future__ import annotations

import functools
import re
import secrets
import struct
from collections.abc import Callable
from datetime import UTC, datetime

from OpenSSL import SSL
from pylibsrtp import Policy, Session

from gateway.webrtc.dtls import PROFILES, Certificate, make_certificate, split_at_records
from gateway.webrtc.stun import binding_request, is_stun, read_success

Send = Callable[[bytes], object]
PCMU = 0
EVENT = 126
RTP = struct.Struct("!BBHII")

OFFER = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 111 0 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:{ufrag}
a=ice-pwd:{password}
a=ice-options:trickle
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:0 PCMU/8000
a=rtcp-fb:0 nack
a=rtpmap:126 telephone-event/8000
"""


@functools.cache
def shared_certificate() -> Certificate:
    """One certificate for all peers of a process: making one takes longer than a handshake."""
    return make_certificate(datetime.now(UTC))


@functools.cache
def client_context(certificate: Certificate, profiles: bytes) -> SSL.Context:
    """What a browser's DTLS stack would be set to."""
    context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.use_certificate(certificate.x509)
    context.use_privatekey(certificate.key)
    context.set_tlsext_use_srtp(profiles)
    return context


class Peer:
    """The browser of one call."""

    def __init__(
        self,
        send: Send,
        *,
        certificate: Certificate | None = None,
        profiles: bytes = b":".join(PROFILES),
        mtu: int = 1200,
    ) -> None:
        self.send = send
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self.certificate = certificate or shared_certificate()
        self.fingerprint = self.certificate.fingerprint
        """What the offer claims; another one makes the handshake fail."""
        self.profiles = profiles
        self.mtu = mtu
        self.remote_ufrag = self.remote_password = self.remote_fingerprint = ""
        self.candidates: list[tuple[str, int]] = []
        self.mapped: tuple[str, int] | None = None
        """Where the server saw the last answered check come from."""
        self.answered_checks = 0
        self.ssl: SSL.Connection | None = None
        self.connected = False
        self.closed_by_server = False
        self.srtp_profile = b""
        self.audio: list[tuple[int, int, bool, bytes]] = []
        """Sequence number, timestamp, marker and payload of each packet that arrived."""
        self.on_audio: Callable[[int, int, bool, bytes], None] = lambda *a: self.audio.append(a)
        self.rtcp: list[bytes] = []
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(15)
        self.timestamp = secrets.randbits(32)
        self.protect: Callable[[bytes], bytes] | None = None
        self._checks: dict[bytes, str] = {}
        self._in: Session | None = None
        self._out: Session | None = None

    # -- signalling --------------------------------------------------------------------------

    def offer(self, *, renew: bool = False) -> str:
        """Return an offer; with new ICE credentials for a restart."""
        if renew:
            self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        text = OFFER.format(ufrag=self.ufrag, password=self.password, fingerprint=self.fingerprint)
        return text.replace("\n", "\r\n")

    def accept(self, answer: str) -> None:
        """Take the server's answer in."""
        self.remote_ufrag = _attribute(answer, "ice-ufrag")
        self.remote_password = _attribute(answer, "ice-pwd")
        self.remote_fingerprint = _attribute(answer, "fingerprint").split()[1]
        found = re.findall(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer, re.M | re.I)
        self.candidates = [(host, int(port)) for host, port in found]

    # -- ICE ---------------------------------------------------------------------------------

    def check(self, *, use_candidate: bool = True, password: str | None = None) -> bytes:
        """Return a connectivity check; its answer is recognized when it comes."""
        transaction_id = secrets.token_bytes(12)
        key = self.remote_password if password is None else password
        self._checks[transaction_id] = key
        return binding_request(
            f"{self.remote_ufrag}:{self.ufrag}",
            key.encode(),
            transaction_id=transaction_id,
            priority=1845501695,
            use_candidate=use_candidate,
            tie_breaker=1,
        )

    def connect(self) -> None:
        """Send the first check; the rest follows from what comes back."""
        self.send(self.check())

    # -- what arrives ------------------------------------------------------------------------

    def receive(self, datagram: bytes) -> None:
        """Take a datagram of the server in."""
        if is_stun(datagram):
            self._receive_stun(datagram)
        elif 20 <= datagram[0] < 64:
            self._receive_dtls(datagram)
        elif self._in is not None and 192 <= datagram[1] <= 223:
            self.rtcp.append(self._in.unprotect_rtcp(datagram))
        elif self._in is not None:
            packet = self._in.unprotect(datagram)
            _, second, sequence, timestamp, _ = RTP.unpack_from(packet)
            self.on_audio(sequence, timestamp, second >= 128, packet[12:])

    def _receive_stun(self, datagram: bytes) -> None:
        key = self._checks.pop(datagram[8:20], None)
        if key is None:
            return
        mapped = read_success(datagram, key.encode(), datagram[8:20])
        if mapped is None:
            return
        self.mapped = mapped
        self.answered_checks += 1
        if self.ssl is None:
            self.say_hello()

    # -- DTLS --------------------------------------------------------------------------------

    def say_hello(self) -> None:
        """Begin the DTLS handshake."""
        self.ssl = SSL.Connection(client_context(self.certificate, self.profiles))
        self.ssl.set_ciphertext_mtu(self.mtu)
        self.ssl.set_connect_state()
        self._shake_hands()

    def flight(self) -> list[bytes]:
        """Return what the DTLS stack has written, as datagrams."""
        assert self.ssl is not None
        try:
            return list(split_at_records(self.ssl.bio_read(65536)))
        except SSL.Error:
            return []

    def _receive_dtls(self, datagram: bytes) -> None:
        if self.ssl is None:
            return
        self.ssl.bio_write(datagram)
        if not self.connected:
            self._shake_hands()
        try:
            self.ssl.recv(1)
        except SSL.ZeroReturnError:
            self.closed_by_server = True
        except SSL.Error:
            pass

    def _shake_hands(self) -> None:
        assert self.ssl is not None
        try:
            self.ssl.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error:
            self.closed_by_server = True
        else:
            self._take_keys(self.ssl)
        for datagram in self.flight():
            self.send(datagram)

    def _take_keys(self, ssl: SSL.Connection) -> None:
        shown = ssl.get_peer_certificate()
        assert shown is not None
        assert shown.digest("sha256").decode() == self.remote_fingerprint
        self.srtp_profile = ssl.get_selected_srtp_profile()
        profile = PROFILES.get(self.srtp_profile)
        if profile is None:
            return
        number, key, salt = profile
        material = ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        self._in = Session(
            Policy(key=server, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=number)
        )
        out = Policy(key=client, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=number)
        out.allow_repeat_tx = True
        self._out = Session(out)
        self.protect = self._out.protect
        self.connected = True

    # -- what is sent ------------------------------------------------------------------------

    def packet(self, payload: bytes, payload_type: int = PCMU, ticks: int = 160) -> bytes:
        """Return the next audio packet, protected."""
        assert self.protect is not None
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + ticks) & 0xFFFFFFFF
        header = RTP.pack(0x80, payload_type, self.sequence, self.timestamp, self.ssrc)
        return self.protect(header + payload)

    def send_audio(self, payload: bytes) -> None:
        """Send 20 ms of mu-law audio."""
        self.send(self.packet(payload))

    def send_rtcp(self, compound: bytes) -> None:
        """Send a compound RTCP packet."""
        assert self._out is not None
        self.send(self._out.protect_rtcp(compound))

    def say_bye(self) -> None:
        """Say that the stream has ended (RFC 3550, 6.6)."""
        receiver_report = struct.pack("!BBHI", 0x80, 201, 1, self.ssrc)
        self.send_rtcp(receiver_report + struct.pack("!BBHI", 0x81, 203, 1, self.ssrc))

    def close(self) -> None:
        """End the DTLS association."""
        assert self.ssl is not None
        self.ssl.shutdown()
        for datagram in self.flight():
            self.send(datagram)


def _attribute(sdp: str, name: str) -> str:
    found = re.search(rf"^a={name}:(.*?)\r?$", sdp, re.MULTILINE)
    assert found is not None, name
    return found.group(1)
