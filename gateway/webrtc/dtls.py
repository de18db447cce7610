"""Runs the server side of a DTLS-SRTP handshake (RFC 5764): datagrams in, datagrams and keys out.

DTLS 1.2 over OpenSSL's memory buffers. The caller passes the time, and lost flights are repeated as
identical datagrams.

The node's certificate is self-signed, kept in memory only and renewed in time. A browser trusts it
because its fingerprint comes in the answer, over the call's own authenticated socket (RFC 8122, 5).
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import cached_property
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from pylibsrtp import Policy

VALID_FOR: Final = timedelta(days=30)
"""Browsers use the same for their own (W3C WebRTC, 4.9.1)."""
RENEWED_AFTER: Final = timedelta(days=7)
"""Age at which a new one is made; early enough that no call outlives its certificate."""
_CLOCKS_DIFFER: Final = timedelta(days=1)
"""How far a browser's clock may be behind ours before it finds the certificate not yet valid."""


@dataclass(frozen=True)
class Certificate:
    """A key pair and the self-signed certificate over it."""

    x509: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    made_at: datetime

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate as `AA:BB:…` (RFC 8122, 5); all sessions share the text."""
        return self.x509.fingerprint(hashes.SHA256()).hex(":").upper()


class Identity:
    """The current certificate of a node; users of an older one keep it."""

    def __init__(self) -> None:
        self._certificate: Certificate | None = None

    def current(self, now: datetime) -> Certificate:
        """Return the certificate for a new session, made now if the last has grown too old."""
        certificate = self._certificate
        if certificate is None or not _is_young(certificate, now):
            certificate = self._certificate = make_certificate(now)
        return certificate


def make_certificate(now: datetime) -> Certificate:
    """Make an ECDSA P-256 certificate, the one kind that every browser accepts (RFC 8827, 6.5)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + VALID_FOR)
    )
    return Certificate(builder.sign(key, hashes.SHA256()), key, now)


def _is_young(certificate: Certificate, now: datetime) -> bool:
    # A wall clock may be set back: a certificate from the future is replaced as well.
    return timedelta(0) <= now - certificate.made_at < RENEWED_AFTER


DATAGRAM_BYTES_MAX: Final = 1200
"""Passes every path unfragmented; the size that WebRTC libraries use."""
FIRST_REPEAT_NS: Final = 400_000_000
"""RFC 6347, 4.2.4.1 suggests 1 s and allows less; a person waits for this handshake."""
_ATTEMPTS_MAX: Final = 4
"""Handshakes begun per session. A forger of addresses can spoil one, but not the call."""
_DATAGRAMS_MAX: Final = 100
"""Datagrams accepted until the handshake is done. A browser needs about 5; with losses, 30."""
_DTLS_1_2: Final = 0xFEFD
_RELEASE_BUFFERS: Final = 0x10
"""SSL_MODE_RELEASE_BUFFERS: an idle connection keeps no record buffers."""
_RECORD_HEADER_BYTES: Final = 13
_ALERT: Final = 21
_HANDSHAKE: Final = 22
_CLOSE_NOTIFY: Final = b"\x01\x00"
_CIPHER: Final = b"ECDHE-ECDSA-AES128-GCM-SHA256"
"""The one cipher suite that every WebRTC peer must support (RFC 8827, 6.5)."""
_HASHES: Final = {"sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
"""Hash functions of RFC 8122 that are still secure, by OpenSSL's names."""


class Profile(NamedTuple):
    """An SRTP protection profile: libsrtp's number, key and salt length in bytes."""

    number: int
    key_bytes: int
    salt_bytes: int


PROFILES: Final = {
    b"SRTP_AEAD_AES_128_GCM": Profile(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AEAD_AES_256_GCM": Profile(Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    b"SRTP_AES128_CM_SHA1_80": Profile(Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
"""By OpenSSL's names, cheapest first (RFC 7714; RFC 5764, 4.1.2)."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Master keys with their salts, in libsrtp's form."""

    profile: int
    client: bytes
    server: bytes


class DtlsState(Enum):
    """Progress of a handshake."""

    HANDSHAKING = auto()
    CONNECTED = auto()
    CLOSED = auto()
    """Either side has sent close_notify."""
    FAILED = auto()


class DtlsContext:
    """What the handshakes of one certificate share."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        context = SSL.Context(SSL.DTLS_SERVER_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        # `_ClosingKey` and `_holds_finished` read the records of this version only.
        context.set_max_proto_version(_DTLS_1_2)
        # No session is resumed: each call has its keys. There is no path behind a memory buffer
        # that could be asked for its MTU.
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # Any certificate passes here: its fingerprint is checked after the handshake.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_any)
        context.use_certificate(certificate.x509)
        context.use_privatekey(certificate.key)
        # One suite, so that `_ClosingKey` knows how the peer's last record is sealed.
        context.set_cipher_list(_CIPHER)
        context.set_tlsext_use_srtp(b":".join(PROFILES))
        self.openssl = context


class DtlsServer:
    """One peer's handshake, and the close_notify after it."""

    __slots__ = (
        "_attempts",
        "_closing",
        "_context",
        "_datagrams",
        "_farewell",
        "_fingerprints",
        "_flight",
        "_repeat_after_ns",
        "_repeat_at_ns",
        "_ssl",
        "keys",
        "state",
    )

    def __init__(self, context: DtlsContext, fingerprints: Iterable[tuple[str, str]]) -> None:
        """Wait for a ClientHello.

        Args:
            context: Our certificate and what we accept.
            fingerprints: The peer's certificate has one of these: hash name and `AA:BB:…`.

        """
        self.state = DtlsState.HANDSHAKING
        self.keys: SrtpKeys | None = None
        """Set once the peer has proved that it holds the certificate of its fingerprint."""
        self._context = context
        self._fingerprints = tuple(fingerprints)
        self._ssl: SSL.Connection | None = None
        self._attempts = 0
        self._datagrams = 0
        self._flight: tuple[bytes, ...] = ()
        self._repeat_after_ns = FIRST_REPEAT_NS
        self._repeat_at_ns = 0
        self._farewell: tuple[bytes, ...] = ()
        self._closing: _ClosingKey | None = None

    def receive(self, datagram: bytes, now_ns: int) -> tuple[bytes, ...]:
        """Take a datagram; return the datagrams to send in reply. Never raises."""
        if self.state is DtlsState.HANDSHAKING:
            return self._receive_handshake(datagram, now_ns)
        # A forged close_notify does not decrypt, so only the peer can end the call.
        if self._closing is not None and self._closing.opens(datagram):
            self.state = DtlsState.CLOSED
        # The peer repeats its last flight if ours was lost (RFC 6347, 4.2.4).
        return self._flight if self._flight and _holds_finished(datagram) else ()

    def repeat(self, now_ns: int) -> tuple[bytes, ...]:
        """Return the last flight again when that is due (RFC 6347, 4.2.4)."""
        if self.state is not DtlsState.HANDSHAKING or not self._flight:
            return ()
        if now_ns < self._repeat_at_ns:
            return ()
        # RFC 6347, 4.2.4.1: the interval doubles, so that a slow path is not filled with copies.
        self._repeat_after_ns *= 2
        self._repeat_at_ns = now_ns + self._repeat_after_ns
        return self._flight

    def confirm_last_flight(self) -> None:
        """Forget our last flight: the peer has used its keys, so it has received it."""
        if self.state is DtlsState.CONNECTED:
            self._flight = ()

    def close(self) -> tuple[bytes, ...]:
        """Return the close_notify that ends the association; empty if there is none."""
        # It was sealed while OpenSSL was there, and can be sent once.
        datagrams = self._farewell if self.state is DtlsState.CONNECTED else ()
        if self.state is not DtlsState.FAILED:
            self.state = DtlsState.CLOSED
        self._forget()
        return datagrams

    def _receive_handshake(self, datagram: bytes, now_ns: int) -> tuple[bytes, ...]:
        self._datagrams += 1
        # Some cost us a signature: the budget of the session bounds their rate, this their number.
        if self._datagrams > _DATAGRAMS_MAX:
            return self._fail()
        # Before the keys are there an alert may come from anyone (RFC 6347, 4.1.2.7).
        if datagram[0] == _ALERT and datagram[3:5] == b"\0\0":
            return ()
        # No cookie is asked for (RFC 6347, 4.2.1): datagrams get here from addresses only that a
        # connectivity check with our password has proven.
        if self._ssl is None:
            self._ssl = SSL.Connection(self._context.openssl)
            self._ssl.set_ciphertext_mtu(DATAGRAM_BYTES_MAX)
            self._ssl.set_accept_state()
            self._attempts += 1
        try:
            self._ssl.bio_write(datagram)
            self._ssl.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error:
            if self._attempts >= _ATTEMPTS_MAX:
                return self._fail()
            # Send no alert: the datagram may have been forged, and the real peer must retry.
            self._forget()
            return ()
        else:
            return self._finish()
        written = self._written()
        # Nothing is written while a flight of the peer's is incomplete: the last one stays due.
        if written:
            self._flight = written
            self._repeat_after_ns = FIRST_REPEAT_NS
            self._repeat_at_ns = now_ns + FIRST_REPEAT_NS
        return written

    def _finish(self) -> tuple[bytes, ...]:
        """Keep only what the rest of the association needs, and free OpenSSL's connection.

        A connection takes some 80 KiB, and memory between those of calls that begin together would
        stay with the process after they have gone. Kept in its place are our last flight, a
        close_notify written in advance, and a key to recognise the peer's.
        """
        assert self._ssl is not None
        profile = PROFILES.get(self._ssl.get_selected_srtp_profile())
        # The certificate was accepted unseen. Without this check anybody who is on the path could
        # have answered the handshake and would hear the call.
        if profile is None or not self._is_expected_peer(self._ssl):
            farewell = self._shut_down()
            self._fail()
            return farewell
        self.keys = _export_keys(self._ssl, profile)
        self.state = DtlsState.CONNECTED
        self._closing = _ClosingKey(self._ssl)
        # In this order: the close_notify is written behind the flight, into the same buffer.
        flight = self._written()
        self._farewell = self._shut_down()
        self._forget()
        self._flight = flight
        return flight

    def _is_expected_peer(self, ssl: SSL.Connection) -> bool:
        certificate = ssl.get_peer_certificate()
        if certificate is None:
            return False
        matches = False
        for name, expected in self._fingerprints:
            # One that matches is enough (RFC 8122, 5); those of unknown hash functions are ignored.
            if name in _HASHES:
                actual = certificate.digest(_HASHES[name])
                matches |= hmac.compare_digest(actual, expected.encode())
        return matches

    def _fail(self) -> tuple[bytes, ...]:
        """Give up; return what OpenSSL wants to send, such as a fatal alert."""
        self.state = DtlsState.FAILED
        written = self._written()
        self._forget()
        return written

    def _forget(self) -> None:
        self._ssl = None
        self._flight = ()

    def _shut_down(self) -> tuple[bytes, ...]:
        """Return what is still to be sent and a close_notify."""
        assert self._ssl is not None
        with contextlib.suppress(SSL.Error):
            self._ssl.shutdown()
        return self._written()

    def _written(self) -> tuple[bytes, ...]:
        if self._ssl is None:
            return ()
        try:
            # More than any flight; nothing to read is an error to OpenSSL.
            return tuple(split_at_records(self._ssl.bio_read(65536)))
        except SSL.Error:
            return ()


def _holds_finished(datagram: bytes) -> bool:
    """Return whether a datagram has a handshake record under the new keys: only Finished is."""
    start = 0
    while start + _RECORD_HEADER_BYTES <= len(datagram):
        # Epoch 1: the record is under the new keys.
        if datagram[start] == _HANDSHAKE and datagram[start + 3 : start + 5] == b"\0\1":
            return True
        length = int.from_bytes(datagram[start + 11 : start + 13], "big")
        start += _RECORD_HEADER_BYTES + length
    return False


class _ClosingKey:
    """Recognises the peer's close_notify without OpenSSL: AES-128-GCM records (RFC 5288, 3)."""

    __slots__ = ("_key", "_salt")

    def __init__(self, ssl: SSL.Connection) -> None:
        master = ssl.master_key()
        server = ssl.server_random()
        client = ssl.client_random()
        assert master is not None
        assert server is not None
        assert client is not None
        # RFC 5246, 6.3: the client's key, the server's, then the client's implicit nonce.
        block = _prf(master, b"key expansion" + server + client, 36)
        self._key = block[:16]
        self._salt = block[32:36]

    def opens(self, datagram: bytes) -> bool:
        """Return whether a datagram is the peer's close_notify."""
        start = _RECORD_HEADER_BYTES
        body_bytes = len(datagram) - start
        if datagram[0] != _ALERT or int.from_bytes(datagram[11:start], "big") != body_bytes:
            return False
        # RFC 5246, 6.2.3.3: epoch and sequence number, type, version, and the size of the alert.
        header = datagram[3:11] + datagram[:3] + len(_CLOSE_NOTIFY).to_bytes(2, "big")
        nonce = datagram[start : start + 8]
        sealed = datagram[start + 8 :]
        try:
            alert = AESGCM(self._key).decrypt(self._salt + nonce, sealed, header)
        except (InvalidTag, ValueError):
            return False
        return alert == _CLOSE_NOTIFY


def _prf(secret: bytes, seed: bytes, size: int) -> bytes:
    """Expand a secret as TLS 1.2 does (RFC 5246, 5)."""
    output = b""
    link = seed
    while len(output) < size:
        link = hmac.digest(secret, link, "sha256")
        output += hmac.digest(secret, link + seed, "sha256")
    return output[:size]


def split_at_records(flight: bytes) -> Iterator[bytes]:
    """Yield datagrams of whole DTLS records, each as full as possible.

    The memory buffer is a stream: it does not record where one datagram should end.
    """
    start = end = 0
    while end < len(flight):
        length = int.from_bytes(flight[end + 11 : end + 13], "big")
        record_end = end + _RECORD_HEADER_BYTES + length
        if record_end - start > DATAGRAM_BYTES_MAX and end > start:
            yield flight[start:end]
            start = end
        end = record_end
    if flight[start:]:
        yield flight[start:]


def _accept_any(*_: object) -> bool:
    return True


def _export_keys(ssl: SSL.Connection, profile: Profile) -> SrtpKeys:
    """Split the keying material as in RFC 5764, 4.2: both keys, then both salts."""
    key, salt = profile.key_bytes, profile.salt_bytes
    material = ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
    salts = material[2 * key :]
    return SrtpKeys(
        profile.number,
        client=material[:key] + salts[:salt],
        server=material[key : 2 * key] + salts[salt:],
    )
