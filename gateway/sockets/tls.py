"""Provides TLS for the one port: certificate and key, reloaded when their files change.

Open connections keep the pair that they began with; new ones get the newest pair that was valid.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from cryptography import x509

from gateway import regular_files
from gateway.errors import SettingsError

log = structlog.get_logger(__name__)

CERTIFICATE_INTERVAL_S = 10.0
"""How soon after the files a new certificate is in use."""

_Identity = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What of a certificate an operator should know."""

    valid_from: datetime
    valid_until: datetime
    names: frozenset[str]
    """DNS names, wildcards as they are written, and IP addresses."""
    is_self_signed: bool = False

    def covers(self, origin: str) -> bool:
        """Tell whether a client of this origin would accept the name (RFC 9525, 6.3)."""
        host = (urlsplit(origin).hostname or "").lower()
        # A wildcard stands for the leftmost label only.
        return not self.names.isdisjoint({host, "*." + host.partition(".")[2]})


class ServerTls:
    """The certificate that new connections are shown."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both files.

        Raises:
            SettingsError: one cannot be read, or they do not belong together; it names the setting.

        """
        self._files = (certificate, key)
        self._seen = self._identities()
        self._newest = self.context = load(certificate, key)
        """What a server listens with; it gives every connection the newest pair itself."""
        # Called for each handshake, also of a client that names no server. A context that is in
        # use could be loaded again, but a key that does not fit would leave it without one.
        self.context.sni_callback = self._present

    async def refresh(self) -> None:
        """Look at the files once; where they have changed, use them, or log why not."""
        await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        seen = self._identities()
        if seen == self._seen:
            return
        # Before the attempt, so that a bad pair is refused, and logged, once. The two files are
        # written one after the other: the second changes this again, and the pair is then read
        # whole.
        self._seen = seen
        try:
            self._newest = load(*self._files)
        except SettingsError as error:
            log.warning("new TLS certificate refused, the old one stays", why=str(error))
        else:
            log.info("new TLS certificate in use")

    def _identities(self) -> tuple[_Identity, ...]:
        """Return facts of both files that change when one is written or replaced."""
        return tuple(_identity(file) for file in self._files)

    def _present(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        # OpenSSL asks before it picks a certificate, and takes a context even in mid-handshake.
        connection.context = self._newest


def load(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a server's context. Raises SettingsError naming the setting that is wrong."""
    _read_certificates(certificate)
    # OpenSSL does not say which of the two files it could not use, so each is read first.
    _read(key, "CALLER_TLS_KEY")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client could make the server work for nothing (RFC 9325, 3.5).
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # A password, or OpenSSL would ask for that of an encrypted key at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        text = (
            "CALLER_TLS_KEY does not belong to CALLER_TLS_CERTIFICATE."
            if error.reason == "KEY_VALUES_MISMATCH"
            else "CALLER_TLS_KEY names a file without a usable private key; it must be PEM, not "
            "encrypted, and of the same kind as CALLER_TLS_CERTIFICATE."
        )
        raise SettingsError(text) from None
    except OSError:
        raise SettingsError("CALLER_TLS_KEY names a file that cannot be read.") from None
    return context


def read_facts(certificate: Path) -> CertificateFacts:
    """Return what the first certificate of a file says. Raises SettingsError."""
    leaf = _read_certificates(certificate)[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    known |= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return CertificateFacts(
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        frozenset(known),
        is_self_signed=leaf.issuer == leaf.subject,
    )


def _read_certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(file, "CALLER_TLS_CERTIFICATE"))
    except ValueError:
        raise SettingsError("CALLER_TLS_CERTIFICATE names a file without a certificate.") from None


def _read(file: Path, setting: str) -> bytes:
    try:
        return regular_files.read(file)
    except regular_files.NotRegularError:
        raise SettingsError(
            f"{setting} does not name a regular file, so it cannot be read."
        ) from None
    except OSError:
        raise SettingsError(f"{setting} names a file that cannot be read.") from None


def _identity(file: Path) -> _Identity:
    try:
        status = file.stat()
    except OSError:
        return None
    # The inode tells a file that was moved into place, whatever its size and time.
    return status.st_ino, status.st_size, status.st_mtime_ns
