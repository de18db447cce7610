"""A certificate authority of the tests' own, and certificates that it signs."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
UNENCRYPTED = serialization.NoEncryption()


class Pair(NamedTuple):
    """The files of one certificate."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; `file` is what a client must trust."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "authority.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        certificate = (
            self._builder(
                self._name, self._key.public_key(), DAY, 30 * DAY, (self._name, self._key)
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        folder: Path,
        name: str = "server",
        *,
        hosts: tuple[str, ...] = ("127.0.0.1", "localhost"),
        age: timedelta = DAY,
        life: timedelta = 30 * DAY,
        encryption: serialization.KeySerializationEncryption = UNENCRYPTED,
        self_signed: bool = False,
    ) -> Pair:
        """Write a new certificate for `hosts`, with a new key; files that are there are replaced.

        Args:
            folder: Where the files go.
            name: Their stem, and the certificate's common name.
            hosts: DNS names and addresses that it is for.
            age: How long it has been valid.
            life: How long it will be.
            encryption: Of the key's file.
            self_signed: Whether the certificate vouches for itself.

        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = (subject, key) if self_signed else (self._name, self._key)
        builder = self._builder(subject, key.public_key(), age, life, issuer)
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(issuer[1], hashes.SHA256())
        pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        _replace(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        _replace(
            pair.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            ),
        )
        return pair

    def client(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority only."""
        return ssl.create_default_context(cafile=self.file)

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        age: timedelta,
        life: timedelta,
        issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey],
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        own_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        return (
            x509.CertificateBuilder(issuer_name=issuer[0], subject_name=subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - age)
            .not_valid_after(now + life)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(own_key, critical=False)
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _replace(file: Path, data: bytes) -> None:
    """Put a new file in the place of an old one, as certificate clients do."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(file)
