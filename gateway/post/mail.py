"""Talks to a mail server: composes a mail, hands it over, and explains why one was rejected.

Blocks, so `sender` calls it from threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from gateway.errors import SettingsError
from gateway.post.notices import MailText
from gateway.secret import Secret
from gateway.settings import Settings

TIMEOUT_S: Final = 10.0
"""For each step of the conversation with the mail server."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
_ADDRESS_LENGTH_MAX: Final = 254
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
# RFC 5321 4.1.2, without quoted strings, address literals and SMTPUTF8.
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
# RFC 5322 2.2.3: a continued header line begins with a blank.
_ENDS_EARLY = re.compile(r"\r(?!\n)|\n(?![ \t]|\Z)")


def is_address(text: str) -> bool:
    """Return whether the text is exactly one address to which mail can be sent."""
    return len(text) <= _ADDRESS_LENGTH_MAX and _ADDRESS.fullmatch(text) is not None


def to_ascii(address: str) -> str:
    """Return an address as servers expect it, its domain in IDNA (RFC 5890).

    Empty if it is invalid.
    """
    if is_address(address):
        return address
    # Imported here: hardly an address comes to it, and its tables of letters take long to compile.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        read = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except (EmailNotValidError, UnicodeError):
        return ""
    plain = read.ascii_email or ""
    return plain if is_address(plain) else ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A mail's headers and recipient, without its text."""

    sender: str
    recipient: str
    message_id: str
    at: datetime
    """When it was queued."""
    sender_name: str = ""
    reply_to: str = ""


def compose(text: MailText, envelope: Envelope) -> EmailMessage:
    """Return a complete mail; the same arguments give the same mail.

    Raises ValueError for a header value that would inject another header.
    """
    message = EmailMessage(policy=SMTP)
    message["Subject"] = text.subject
    message["From"] = Address(envelope.sender_name, addr_spec=envelope.sender)
    message["To"] = Address(addr_spec=envelope.recipient)
    if envelope.reply_to:
        message["Reply-To"] = Address(addr_spec=envelope.reply_to)
    message["Date"] = format_datetime(envelope.at)
    message["Message-ID"] = envelope.message_id
    # RFC 2047: an encoded word is decoded when its header is written, line ends included.
    if any(_ENDS_EARLY.search(SMTP.fold(name, value)) for name, value in message.items()):
        raise ValueError("a header would hold another")
    # RFC 3834 section 5: keeps automatic replies from answering it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.text, cte="quoted-printable")
    message.add_alternative(text.html, subtype="html", cte="quoted-printable")
    # The default would be random for each attempt. A quoted-printable line never has "=_".
    message.set_boundary("=_" + re.sub(r"\W", "", envelope.message_id)[:60])
    return message


@dataclass(frozen=True, slots=True)
class MailServer:
    """The operator's mail server."""

    scheme: str
    host: str
    port: int
    user: str
    password: Secret
    sender: str
    timeout_s: float
    tls: ssl.SSLContext | None
    """None for the system's roots, which are loaded for the first conversation."""

    @property
    def domain(self) -> str:
        """Domain of the sender's address."""
        return self.sender.partition("@")[2]


def mail_server(settings: Settings) -> MailServer | None:
    """Return the server that mails are sent to, if one is set. Raises SettingsError."""
    return read_server(settings.smtp_url, settings.mail_from) if settings.smtp_url else None


def read_server(
    url: Secret, sender: str, *, tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S
) -> MailServer:
    """Return the server that a setting names.

    Args:
        url: `smtps://`, `smtp+starttls://` or `smtp://`, `user:password@` if needed, host and
            port. User and password are percent-encoded.
        sender: Sender address.
        tls: Verifies the server's certificate; by default against the system's roots.
        timeout_s: For each step of a conversation.

    Raises:
        SettingsError: For a server or sender that cannot be used.
    """
    if not is_address(sender):
        raise SettingsError("CALLER_MAIL_FROM must be a mail address; CALLER_SMTP_URL needs it.")
    parts = urlsplit(url.reveal())
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise SettingsError("CALLER_SMTP_URL must end in a host and a port.")
    # Plain SMTP would expose the password, except on this machine.
    if parts.scheme == "smtp" and parts.password and host not in _LOOPBACK:
        raise SettingsError("CALLER_SMTP_URL: a password needs smtps or smtp+starttls.")
    return MailServer(
        scheme=parts.scheme,
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        password=Secret(unquote(parts.password or "")),
        sender=sender,
        timeout_s=timeout_s,
        tls=tls,
    )


@dataclass(slots=True)
class Conversation:
    """One connection to the server, over which mails are handed over one after the other."""

    server: MailServer
    _smtp: smtplib.SMTP | None = field(default=None, init=False)

    def open(self) -> None:
        """Connect and sign in, unless already done. Raises OSError, a base of smtplib's errors."""
        if self._smtp is None:
            self._smtp = _signed_in(self.server)

    def send(self, message: EmailMessage, recipient: str) -> None:
        """Hand over one mail over the open connection. Raises OSError."""
        assert self._smtp is not None
        try:
            self._smtp.send_message(message, self.server.sender, [recipient])
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
            self._begin_again(error)
            raise
        except BaseException:
            self.drop()
            raise

    def _begin_again(self, refusal: Exception) -> None:
        """Reset the server after a mail that it refused."""
        # RFC 5321 3.8: the server closes after 421.
        if self._smtp is None or self._smtp.sock is None or reply_code(refusal) == 421:
            self.drop()
            return
        try:
            # smtplib forgets this after a refused DATA, and the next MAIL would be nested.
            self._smtp.rset()
        except OSError:
            self.drop()

    def close(self) -> None:
        """Say goodbye to the server and close."""
        if self._smtp is not None:
            # The server has accepted what was handed over: later failures do not matter.
            with contextlib.suppress(OSError):
                self._smtp.quit()
        self.drop()

    def drop(self) -> None:
        """Close without a goodbye; another `open` connects again."""
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def interrupt(self) -> None:
        """Abort a thread that waits for the server; may be called from any other thread."""
        smtp = self._smtp
        if smtp is not None and smtp.sock is not None:
            with contextlib.suppress(OSError):
                smtp.sock.shutdown(socket.SHUT_RDWR)


def _signed_in(server: MailServer) -> smtplib.SMTP:
    tls = server.tls or ssl.create_default_context()
    smtp = _connect(server, tls)
    try:
        if server.scheme == "smtp+starttls":
            smtp.starttls(context=tls)
        if server.user:
            smtp.login(server.user, server.password.reveal())
    # smtplib leaves the socket open when TLS or the login fails.
    except BaseException:
        smtp.close()
        raise
    return smtp


def _connect(server: MailServer, tls: ssl.SSLContext) -> smtplib.SMTP:
    # Given explicitly, because the default is a DNS look-up.
    place = (server.host, server.port, server.domain)
    # RFC 8314: implicit TLS starts with the first byte; STARTTLS upgrades a plain connection.
    if server.scheme == "smtps":
        return smtplib.SMTP_SSL(*place, timeout=server.timeout_s, context=tls)
    return smtplib.SMTP(*place, timeout=server.timeout_s)


def reply_code(error: Exception) -> int:
    """Return the server's reply code; 0 if there was none."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return max(code for code, _ in error.recipients.values())
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else 0


async def try_server(url: Secret, sender: str) -> str:
    """Connect to a mail server and sign in, without sending anything.

    Returns a sentence about what is wrong; empty if nothing is. Raises SettingsError.
    """
    conversation = Conversation(read_server(url, sender))
    try:
        await asyncio.to_thread(conversation.open)
    except smtplib.SMTPAuthenticationError as error:
        return f"The mail server refuses user or password ({error.smtp_code})."
    except smtplib.SMTPNotSupportedError:
        return "The mail server does not offer what CALLER_SMTP_URL asks for."
    except ssl.SSLCertVerificationError:
        return "The certificate of the mail server is not accepted."
    except ssl.SSLError:
        return "The mail server does not speak TLS as CALLER_SMTP_URL says."
    except OSError:
        return "The mail server of CALLER_SMTP_URL does not answer."
    await asyncio.to_thread(conversation.close)
    return ""
