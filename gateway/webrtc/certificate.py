"""Makes the certificate a node uses in DTLS: in memory only, renewed in time.

It is self-signed. A browser trusts it because its fingerprint comes in the answer, over the call's
own authenticated socket (RFC 8122, 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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
