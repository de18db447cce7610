"""The certificate that a node makes itself."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.webrtc.certificate import RENEWED_AFTER, VALID_FOR, Identity, make_certificate

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
