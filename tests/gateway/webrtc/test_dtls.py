"""The DTLS server, against a client of OpenSSL."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.webrtc.dtls import (
    DATAGRAM_BYTES_MAX,
    FIRST_REPEAT_NS,
    PROFILES,
    RENEWED_AFTER,
    VALID_FOR,
    DtlsServer,
    DtlsState,
    Identity,
    make_certificate,
    split_at_records,
)
from tests.gateway.webrtc.peer import Peer, shared_certificate
from tests.gateway.webrtc.wire import MS, context, take

FATAL_ALERT = b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28"


class Handshake:
    """A client and a server that write to one another."""

    def __init__(
        self, fingerprints: list[tuple[str, str]] | None = None, **options: object
    ) -> None:
        self.to_server: list[bytes] = []
        self.to_client: list[bytes] = []
        self.client = Peer(self.to_server.append, **options)
        self.client.remote_fingerprint = context().certificate.fingerprint
        own = [("sha-256", shared_certificate().fingerprint)]
        self.server = DtlsServer(context(), own if fingerprints is None else fingerprints)
        self.now_ns = 0

    def pump(self) -> None:
        while self.to_server or self.to_client:
            for datagram in take(self.to_server):
                self.to_client += self.server.receive(datagram, self.now_ns)
            for datagram in take(self.to_client):
                self.client.receive(datagram)

    def run(self) -> Handshake:
        self.client.say_hello()
        self.pump()
        return self


def test_both_ends_have_the_same_keys() -> None:
    handshake = Handshake().run()
    keys = handshake.server.keys
    assert handshake.server.state is DtlsState.CONNECTED
    assert keys is not None
    assert handshake.client.connected
    assert handshake.client.ssl is not None
    material = handshake.client.ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
    assert keys.client == material[:16] + material[32:44]
    assert keys.server == material[16:32] + material[44:]


def test_it_speaks_dtls_1_2_with_the_mandatory_suite() -> None:
    ssl = Handshake().run().client.ssl
    assert ssl is not None
    assert ssl.get_protocol_version_name() == "DTLSv1.2"
    assert ssl.get_cipher_name() == "ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_works(profile: bytes) -> None:
    handshake = Handshake(profiles=profile).run()
    assert handshake.client.srtp_profile == profile
    assert handshake.server.keys is not None
    assert handshake.server.keys.profile == PROFILES[profile].number


def test_the_cheapest_profile_is_preferred_whatever_the_client_prefers() -> None:
    handshake = Handshake(profiles=b":".join(reversed(PROFILES))).run()
    assert handshake.client.srtp_profile == b"SRTP_AEAD_AES_128_GCM"


@pytest.mark.parametrize("fragment_bytes", [5, 50, 193])
def test_a_client_hello_in_fragments_is_put_together(fragment_bytes: int) -> None:
    handshake = Handshake()
    handshake.client.say_hello()
    hello = handshake.to_server.pop()
    body = hello[25:]
    # The client goes on with record 1: these have later numbers, and are no repetitions.
    for number, at in enumerate(range(0, len(body), fragment_bytes), start=10):
        # RFC 6347, 4.2.2: kind, size of the whole, message number; then where this part lies.
        part = body[at : at + fragment_bytes]
        message = hello[13:19] + at.to_bytes(3, "big") + len(part).to_bytes(3, "big") + part
        sequence, size = number.to_bytes(6, "big"), len(message).to_bytes(2, "big")
        handshake.to_server.append(hello[:5] + sequence + size + message)
    handshake.pump()
    assert handshake.server.state is DtlsState.CONNECTED


def test_no_datagram_is_larger_than_a_path_takes() -> None:
    handshake = Handshake()
    handshake.client.say_hello()
    flight = handshake.server.receive(handshake.to_server[0], 0)
    assert flight
    assert all(len(datagram) <= DATAGRAM_BYTES_MAX for datagram in flight)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([100], [113]),
        ([100, 200], [326]),
        ([1187, 1], [1200, 14]),
        ([1187 - 13 - 50, 50, 7], [1200, 20]),
        ([1300, 5], [1313, 18]),
    ],
)
def test_flights_are_split_where_records_end(lengths: list[int], expected: list[int]) -> None:
    records = [bytes(11) + length.to_bytes(2, "big") + b"r" * length for length in lengths]
    datagrams = list(split_at_records(b"".join(records)))
    assert [len(datagram) for datagram in datagrams] == expected
    assert b"".join(datagrams) == b"".join(records)


@pytest.mark.parametrize("fingerprints", [[], [("sha-256", "00:" * 31 + "00")], [("md5", "00")]])
def test_another_certificate_gets_no_keys(fingerprints: list[tuple[str, str]]) -> None:
    handshake = Handshake(fingerprints).run()
    assert handshake.server.state is DtlsState.FAILED
    assert handshake.server.keys is None
    assert handshake.client.closed_by_server


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_any_sound_hash_proves_the_certificate(name: str) -> None:
    encoded = shared_certificate().x509.public_bytes(Encoding.DER)
    digest = hashlib.new(name, encoded).digest().hex(":").upper()
    fingerprints = [("sha-256", "00"), (f"sha-{name[3:]}", digest)]
    assert Handshake(fingerprints).run().server.state is DtlsState.CONNECTED


def test_a_client_without_srtp_is_refused() -> None:
    handshake = Handshake(profiles=b"SRTP_AES128_CM_SHA1_32").run()
    assert handshake.server.state is DtlsState.FAILED
    assert handshake.server.keys is None


# -- loss ----------------------------------------------------------------------------------------


def test_a_lost_flight_is_repeated_after_ever_longer_times() -> None:
    handshake = Handshake()
    server = handshake.server
    handshake.client.say_hello()
    lost = server.receive(handshake.to_server.pop(), 0)
    now_ns, waits = 0, []
    for _ in range(3):
        begun_ns = now_ns
        while not (flight := server.repeat(now_ns)):
            now_ns += 10 * MS
        assert flight == lost
        waits.append(now_ns - begun_ns)
    assert waits == [FIRST_REPEAT_NS, 2 * FIRST_REPEAT_NS, 4 * FIRST_REPEAT_NS]
    handshake.to_client += lost
    handshake.pump()
    assert server.state is DtlsState.CONNECTED
    assert server.repeat(now_ns + 10**12) == ()


def test_half_a_flight_and_then_its_repetition_are_enough() -> None:
    handshake = Handshake()
    handshake.client.say_hello()
    flight = handshake.server.receive(handshake.to_server.pop(), 0)
    records = [record for datagram in flight for record in each_record(datagram)]
    handshake.to_client += records[::2]
    handshake.pump()
    assert handshake.server.state is DtlsState.HANDSHAKING
    handshake.to_client += handshake.server.repeat(FIRST_REPEAT_NS)
    handshake.pump()
    assert handshake.server.state is DtlsState.CONNECTED


def test_the_last_flight_is_repeated_when_the_client_repeats_its_own() -> None:
    handshake = Handshake()
    handshake.client.say_hello()
    hello = handshake.to_server.pop()
    for datagram in handshake.server.receive(hello, 0):
        handshake.client.receive(datagram)
    answers = take(handshake.to_server)
    lost = [reply for datagram in answers for reply in handshake.server.receive(datagram, 0)]
    assert lost
    assert handshake.server.state is DtlsState.CONNECTED
    for _ in range(2):
        again = [reply for datagram in answers for reply in handshake.server.receive(datagram, 0)]
        assert again == lost
    handshake.to_client += again
    handshake.pump()
    assert handshake.client.connected
    handshake.server.confirm_last_flight()
    assert not any(handshake.server.receive(datagram, 0) for datagram in answers)


# -- forgery -------------------------------------------------------------------------------------


def test_an_alert_that_nothing_proves_ends_nothing() -> None:
    handshake = Handshake()
    assert handshake.server.receive(FATAL_ALERT, 0) == ()
    handshake.client.say_hello()
    flight = handshake.server.receive(handshake.to_server.pop(), 0)
    assert handshake.server.receive(FATAL_ALERT, 0) == ()
    handshake.to_client += flight
    handshake.pump()
    assert handshake.server.state is DtlsState.CONNECTED
    assert handshake.server.receive(FATAL_ALERT, 0) == ()
    assert handshake.server.state is DtlsState.CONNECTED


def test_a_spoilt_hello_costs_an_attempt_and_not_the_handshake() -> None:
    handshake = Handshake()
    handshake.client.say_hello()
    hello = handshake.to_server[0]
    spoilt = hello[:60] + b"\xff" * 40 + hello[100:]
    for _ in range(3):
        assert handshake.server.receive(spoilt, 0) == ()
    handshake.pump()
    assert handshake.server.state is DtlsState.CONNECTED


def test_attempts_are_bounded() -> None:
    handshake = Handshake()
    handshake.client.say_hello()
    hello = handshake.to_server[0]
    spoilt = hello[:60] + b"\xff" * 40 + hello[100:]
    for _ in range(4):
        handshake.server.receive(spoilt, 0)
    assert handshake.server.state is DtlsState.FAILED
    assert handshake.server.receive(hello, 0) == ()


def test_datagrams_of_a_handshake_are_bounded() -> None:
    server = Handshake().server
    for _ in range(100):
        server.receive(b"\x16\xfe\xff" + bytes(10), 0)
    assert server.state is DtlsState.HANDSHAKING
    server.receive(b"\x16\xfe\xff" + bytes(10), 0)
    assert server.state is DtlsState.FAILED


@given(st.binary(min_size=1, max_size=1500))
def test_noise_never_raises(noise: bytes) -> None:
    server = Handshake().server
    first = bytes([20 + noise[0] % 44])
    server.receive(first + noise[1:], 0)
    assert server.keys is None


@settings(max_examples=2 * settings.default.max_examples)
@given(st.integers(0, 2**32))
def test_mutated_flights_never_raise_and_never_connect_by_themselves(seed: int) -> None:
    chance = random.Random(seed)
    handshake = Handshake()
    handshake.client.say_hello()
    hello = bytearray(handshake.to_server[0])
    for _ in range(chance.randint(1, 8)):
        hello[chance.randrange(1, len(hello))] = chance.randrange(256)
    handshake.server.receive(bytes(hello), 0)
    handshake.server.receive(bytes(hello)[: chance.randrange(1, len(hello))], 0)
    assert handshake.server.keys is None
    assert handshake.server.state is not DtlsState.CONNECTED


def test_noise_after_the_handshake_changes_nothing() -> None:
    handshake = Handshake().run()
    chance = random.Random(1)
    for settled in (False, True):
        if settled:
            handshake.server.confirm_last_flight()
        for _ in range(500):
            noise = bytes([chance.randrange(20, 64)]) + chance.randbytes(chance.randrange(100))
            handshake.server.receive(noise, 0)
        assert handshake.server.state is DtlsState.CONNECTED


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("settled", [False, True])
def test_close_notify_reaches_the_client(settled: bool) -> None:
    handshake = Handshake().run()
    if settled:
        handshake.server.confirm_last_flight()
    handshake.to_client += handshake.server.close()
    handshake.pump()
    assert handshake.client.closed_by_server
    assert handshake.server.state is DtlsState.CLOSED
    assert handshake.server.close() == ()


@pytest.mark.parametrize("settled", [False, True])
def test_close_notify_of_the_client_is_understood(settled: bool) -> None:
    handshake = Handshake().run()
    if settled:
        handshake.server.confirm_last_flight()
    handshake.client.close()
    (notify,) = handshake.to_server
    for at in range(3, len(notify)):
        forged = notify[:at] + bytes([notify[at] ^ 1]) + notify[at + 1 :]
        handshake.server.receive(forged, 0)
        handshake.server.receive(notify[:at], 0)
        assert handshake.server.state is DtlsState.CONNECTED
    handshake.pump()
    assert handshake.server.state is DtlsState.CLOSED


def test_openssl_keeps_nothing_once_the_handshake_is_done() -> None:
    server = Handshake().run().server
    assert server.state is DtlsState.CONNECTED
    assert server._ssl is None


def test_only_a_repeated_flight_is_answered_with_ours() -> None:
    handshake = Handshake().run()
    finished = b"\x16\xfe\xfd\0\1" + bytes(6) + b"\0\1?"
    (flight,) = handshake.server.receive(finished, 0)
    assert handshake.server.receive(bytes(20) + finished, 0) == ()
    change_cipher_spec = b"\x14\xfe\xfd" + bytes(8) + b"\0\1\1"
    assert handshake.server.receive(change_cipher_spec + finished, 0) == (flight,)
    for other in (b"\x16", finished[:3] + bytes(2) + finished[5:], b"\x17" + finished[1:]):
        assert handshake.server.receive(other, 0) == ()


def test_application_data_is_read_away() -> None:
    handshake = Handshake().run()
    assert handshake.client.ssl is not None
    for _ in range(20):
        handshake.client.ssl.send(b"x" * 1_000)
        for datagram in handshake.client.flight():
            handshake.server.receive(datagram, 0)
    handshake.client.close()
    handshake.pump()
    assert handshake.server.state is DtlsState.CLOSED


def test_a_handshake_that_is_given_up_takes_nothing_more() -> None:
    handshake = Handshake()
    handshake.client.say_hello()
    assert handshake.server.close() == ()
    assert handshake.server.receive(handshake.to_server[0], 0) == ()
    assert handshake.server.state is DtlsState.CLOSED


def each_record(datagram: bytes) -> list[bytes]:
    """Cut a datagram into its records."""
    records = []
    while datagram:
        end = 13 + int.from_bytes(datagram[11:13], "big")
        records.append(datagram[:end])
        datagram = datagram[end:]
    return records


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_certificate_is_its_own_issuer_on_the_curve_of_browsers() -> None:
    certificate = make_certificate(NOW)
    certificate.x509.verify_directly_issued_by(certificate.x509)
    assert isinstance(certificate.key.curve, ec.SECP256R1)
    assert certificate.x509.public_key() == certificate.key.public_key()


def test_it_holds_now_and_for_every_call_that_begins_before_its_renewal() -> None:
    x509 = make_certificate(NOW).x509
    assert x509.not_valid_before_utc < NOW
    assert x509.not_valid_after_utc == NOW + VALID_FOR
    assert timedelta(days=7) < VALID_FOR - RENEWED_AFTER


def test_fingerprint_is_sha_256_as_sdp_writes_it() -> None:
    certificate = make_certificate(NOW)
    digest = hashlib.sha256(certificate.x509.public_bytes(Encoding.DER)).hexdigest().upper()
    pairs = [digest[at : at + 2] for at in range(0, 64, 2)]
    assert certificate.fingerprint == ":".join(pairs)


def test_identity_keeps_its_certificate_until_it_is_old() -> None:
    identity = Identity()
    first = identity.current(NOW)
    assert identity.current(NOW + RENEWED_AFTER - timedelta(seconds=1)) is first
    second = identity.current(NOW + RENEWED_AFTER)
    assert second.fingerprint != first.fingerprint
    assert identity.current(NOW + RENEWED_AFTER) is second


def test_identity_renews_what_a_clock_set_back_has_made_in_the_future() -> None:
    identity = Identity()
    first = identity.current(NOW)
    assert identity.current(NOW - timedelta(days=400)) is not first
