"""Mails account holders about events that concern their money.

A mail is tried a few times and then dropped, because the books hold every fact anyway; nothing
waits for it. The texts are in `texts`. Knows no store and no call.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import smtplib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import structlog

from billing.clock import Clock, utc_now
from billing.payments import PaymentProfile
from database.errors import StoreUnavailableError
from gateway.errors import SettingsError
from gateway.post.texts import MailText, is_mailed, text_of
from gateway.secret import Secret

TIMEOUT_S: Final = 10.0
"""For each step of the conversation with the mail server."""
DELAYS_S: Final = (5.0, 60.0, 600.0)
"""Pauses between the attempts at one mail; after the last it is dropped."""
WAITING_MAX: Final = 200
"""Mails in progress at once; further ones are not sent."""

_ONCE_A_DAY = frozenset({"call.cut_off"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})
_ADDRESS_LENGTH_MAX = 254
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
# RFC 5321 4.1.2, without quoted strings, address literals and SMTPUTF8.
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")

log = structlog.get_logger(__name__)

OnceADay = Callable[[str], Awaitable[bool]]
"""Returns whether this name has not been asked for within a day. Raises StoreUnavailableError."""


# A port, so that mail depends on no store; the payment store implements it.
class Addresses(Protocol):
    """Looks up account holders' addresses and accounts."""

    async def profile(self, account_id: str) -> PaymentProfile:
        """Return an account's profile; its `email` is empty if unknown.

        Raises StoreUnavailableError, LookupError.
        """


def is_address(text: str) -> bool:
    """Return whether the text is exactly one address to which mail can be sent."""
    return len(text) <= _ADDRESS_LENGTH_MAX and _ADDRESS.fullmatch(text) is not None


def compose(
    text: MailText, *, sender: str, recipient: str, message_id: str, at: datetime
) -> EmailMessage:
    """Return a complete mail; the same arguments give the same mail."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = text.subject
    message["From"] = sender
    message["To"] = recipient
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id
    # RFC 3834 section 5: keeps automatic replies from answering it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.body, cte="quoted-printable")
    return message


@dataclass(frozen=True, slots=True)
class _Server:
    """The operator's mail server."""

    scheme: str
    host: str
    port: int
    user: str
    password: Secret
    tls: ssl.SSLContext
    sender: str
    timeout_s: float

    def send(self, message: EmailMessage, recipient: str) -> None:
        """Hand over one mail; blocks. Raises OSError, a base class of smtplib's errors."""
        with contextlib.closing(self._signed_in()) as smtp:
            smtp.send_message(message, self.sender, [recipient])
            # The mail has been accepted: no failure from here on may cause it to be sent again.
            with contextlib.suppress(OSError):
                smtp.quit()

    def sign_in(self) -> None:
        """Sign in and out; blocks. Raises OSError, a base class of smtplib's errors."""
        with contextlib.closing(self._signed_in()) as smtp:
            smtp.noop()
            smtp.quit()

    def _signed_in(self) -> smtplib.SMTP:
        smtp = self._connect()
        try:
            if self.scheme == "smtp+starttls":
                smtp.starttls(context=self.tls)
            if self.user:
                smtp.login(self.user, self.password.reveal())
        # smtplib leaves the socket open when TLS or the login fails.
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _connect(self) -> smtplib.SMTP:
        # Given explicitly, because the default is a DNS look-up.
        name = self.sender.partition("@")[2]
        # RFC 8314: implicit TLS starts with the first byte; STARTTLS upgrades a plain connection.
        if self.scheme == "smtps":
            return smtplib.SMTP_SSL(
                self.host, self.port, name, timeout=self.timeout_s, context=self.tls
            )
        return smtplib.SMTP(self.host, self.port, name, timeout=self.timeout_s)


async def try_server(url: Secret, sender: str) -> str:
    """Connect to a mail server and sign in, without sending anything.

    Returns what is wrong as a sentence; empty if nothing is. Raises SettingsError.
    """
    server = _read_server(url, sender, None, TIMEOUT_S)
    try:
        await asyncio.to_thread(server.sign_in)
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
    return ""


def _read_server(url: Secret, sender: str, tls: ssl.SSLContext | None, timeout_s: float) -> _Server:
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
    return _Server(
        scheme=parts.scheme,
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        password=Secret(unquote(parts.password or "")),
        tls=tls or ssl.create_default_context(),
        sender=sender,
        timeout_s=timeout_s,
    )


@dataclass(slots=True)
class _Mail:
    """A mail on its way."""

    name: str
    """Of the event."""
    data: Mapping[str, Any]
    account_id: str
    message_id: str
    at: datetime
    may_be_sent: bool
    """False until it is known that it is the first of the day."""


class Mails:
    """The outgoing mail of one process, to one server; inactive without a server."""

    def __init__(
        self,
        url: Secret,
        sender: str,
        *,
        origin: str,
        addresses: Addresses,
        once_a_day: OnceADay,
        tls: ssl.SSLContext | None = None,
        delays_s: tuple[float, ...] = DELAYS_S,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = utc_now,
    ) -> None:
        """Raise SettingsError for a server or sender that cannot be used.

        Args:
            url: `smtps://`, `smtp+starttls://` or `smtp://`, `user:password@` if needed, host and
                port; empty for no mail. User and password are percent-encoded.
            sender: Sender address.
            origin: Origin of the phone page.
            addresses: Queried again for each attempt.
            once_a_day: Limits some mails to one a day, over all nodes.
            tls: Used to verify the server's certificate; by default the system's roots.
            delays_s: Pauses between attempts.
            timeout_s: For each step of the conversation with the server.
            clock: Dates the mails.

        """
        self._server = _read_server(url, sender, tls, timeout_s) if url else None
        self._origin = origin
        self._addresses = addresses
        self._once_a_day = once_a_day
        self._delays_s = delays_s
        self._clock = clock
        self._sending = asyncio.Lock()
        self._work: set[asyncio.Task[None]] = set()

    def notify(self, name: str, data: Mapping[str, Any]) -> None:
        """Send mail about an event soon, if account holders are told about it."""
        if self._server is None or not is_mailed(name, data):
            return
        # Bounds the tasks that pile up while the server is away.
        if len(self._work) >= WAITING_MAX:
            log.warning("mail not sent, too many wait", about=name, account=data["account_id"])
            return
        domain = self._server.sender.partition("@")[2]
        mail = _Mail(
            name=name,
            data=data,
            account_id=data["account_id"],
            # The same for all attempts: if an answer is lost, the second copy can be recognised by
            # it.
            message_id=f"<{secrets.token_hex(12)}@{domain}>",
            at=self._clock(),
            # Decided in the task: this function must not wait for Redis.
            may_be_sent=name not in _ONCE_A_DAY,
        )
        work = asyncio.get_running_loop().create_task(self._deliver(mail, self._server))
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    async def leave(self, patience_s: float) -> bool:
        """Wait, at most so long, until nothing waits to be sent; return whether that is so."""
        if not self._work:
            return True
        _, left = await asyncio.wait(self._work, timeout=patience_s)
        return not left

    async def stop(self) -> None:
        """Stop; drop what still waits."""
        # Dropped, because a stop must not wait for pauses of up to ten minutes.
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _deliver(self, mail: _Mail, server: _Server) -> None:
        for delay_s in (*self._delays_s, None):
            try:
                await self._try(mail, server)
            # Any error, even a bug in a text: nobody awaits this task.
            except Exception as error:
                if delay_s is None or not _is_passing(error):
                    _give_up(mail, error)
                    return
            else:
                return
            await asyncio.sleep(delay_s)

    async def _try(self, mail: _Mail, server: _Server) -> None:
        """Send the mail once, if there is an address to send it to."""
        # Read again at each attempt: the address may have changed, or the account been deleted.
        profile = await self._addresses.profile(mail.account_id)
        if not is_address(profile.email):
            # No address at all is normal: account holders need not give one.
            if profile.email:
                log.warning("mail not sent, not an address", account=mail.account_id)
            return
        if not mail.may_be_sent:
            # Marked before sending, so that only one of several nodes sends it. Asked only once,
            # since a repetition would find its own mark.
            mail.may_be_sent = await self._once_a_day(f"{mail.name}:{mail.account_id}")
            if not mail.may_be_sent:
                return
        message = compose(
            text_of(mail.name, mail.data, profile, self._origin),
            sender=server.sender,
            recipient=profile.email,
            message_id=mail.message_id,
            at=mail.at,
        )
        # One at a time: each send blocks a thread of the loop's pool, which DNS look-ups share.
        async with self._sending:
            await asyncio.to_thread(server.send, message, profile.email)


def _is_passing(error: Exception) -> bool:
    """Return whether the same mail may be accepted later."""
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return False
    # RFC 5321, 4.2.1: 5yz is permanent, 4yz transient.
    code = _smtp_code(error)
    return isinstance(error, OSError | StoreUnavailableError) and not 500 <= code < 600


def _smtp_code(error: Exception) -> int:
    """Return the server's reply code; 0 if there was none."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return max(code for code, _ in error.recipients.values())
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else 0


def _give_up(mail: _Mail, error: Exception) -> None:
    # Not the error's text, which may quote the address.
    log.warning(
        "mail not sent",
        about=mail.name,
        account=mail.account_id,
        message_id=mail.message_id,
        failure=type(error).__name__,
        smtp_code=_smtp_code(error),
    )
