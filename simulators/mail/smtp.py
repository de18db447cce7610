"""Takes mails by SMTP (RFC 5321) from any client that reaches the address; delivers to a mailbox.

The conversation is `aiosmtpd`'s; what bounds it beyond that is here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from simulators.mail.mailbox import Mailbox
from simulators.mail.settings import MailSimulatorSettings

RECIPIENTS_MAX: Final = 100
"""Of one mail: what each server has to take (RFC 5321 4.5.3.1.8)."""
NAME: Final = "simulated-mail.invalid"
"""What the server calls itself; the library would look it up in the DNS."""
_BETWEEN_MAILS_BYTES: Final = 128 * 1024
_log = logging.getLogger(__name__)


class SmtpServer:
    """Answers on a listening socket, which it takes over.

    Args:
        listening: the socket.
        mailbox: where mails go.
        settings: bounds.
        now: the time, in UTC.
    """

    def __init__(
        self,
        listening: socket.socket,
        mailbox: Mailbox,
        settings: MailSimulatorSettings,
        now: Callable[[], datetime],
    ) -> None:
        self._socket = listening
        self._mailbox = mailbox
        self._settings = settings
        self._now = now
        self._open: set[_Conversation] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Answer in the background, on the running loop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._answer, sock=self._socket)

    async def stop(self) -> None:
        """Close the port and every conversation; only while started."""
        assert self._server is not None, "started"
        self._server.close()
        for conversation in tuple(self._open):
            await conversation.leave()
        await self._server.wait_closed()

    def _answer(self) -> asyncio.Protocol:
        if len(self._open) >= self._settings.conversations_max:
            return _Busy()
        return _Conversation(_Delivery(self._mailbox, self._now), self._settings, self._open)


class _Conversation(SMTP):
    """One connection, whose bytes are bounded from one mail to the next."""

    def __init__(
        self, delivery: _Delivery, settings: MailSimulatorSettings, among: set[_Conversation]
    ) -> None:
        super().__init__(
            delivery,
            data_size_limit=settings.mail_bytes_max,
            hostname=NAME,
            ident="ESMTP",
            timeout=settings.silence_s_max,
            loop=asyncio.get_running_loop(),
        )
        self._delivery = delivery
        self._bytes_max = settings.mail_bytes_max + _BETWEEN_MAILS_BYTES
        self._among = among
        self._wire: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to answer."""
        # Not to be asked for its class: uvloop's transports are of none of asyncio's.
        self._wire = cast("asyncio.WriteTransport", transport)
        self._among.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        self._among.discard(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Pass on what came, or drop a client that sends without end."""
        # The library reads a mail that is too large to its end, and keeps a line that has none.
        self._delivery.bytes_since += len(data)
        if self._delivery.bytes_since <= self._bytes_max:
            super().data_received(data)
        elif self._wire is not None:
            self._wire.abort()

    async def leave(self) -> None:
        """Close, and wait until nothing of it runs."""
        handling = self._handler_coroutine
        if self._wire is not None:
            self._wire.abort()
        if handling is not None:
            handling.cancel()
            await asyncio.gather(handling, return_exceptions=True)


class _Busy(asyncio.Protocol):
    """Turns a connection away (RFC 5321 3.8)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so and close."""
        wire = cast("asyncio.WriteTransport", transport)
        wire.write(b"421 %s Too many connections, try again later\r\n" % NAME.encode())
        wire.close()


class _Delivery:
    """What the library asks about a conversation: it finds these methods by their names."""

    def __init__(self, mailbox: Mailbox, now: Callable[[], datetime]) -> None:
        self._mailbox = mailbox
        self._now = now
        self.bytes_since = 0
        """Bytes that were sent since the last mail was taken."""

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Accept a recipient, whoever it is."""
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return "452 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take a mail."""
        raw = envelope.original_content or b""
        recipients = tuple(envelope.rcpt_tos)
        self._mailbox.add(envelope.mail_from or "", recipients, bytes(raw), self._now())
        self.bytes_since = 0
        return "250 OK"

    async def handle_exception(self, error: Exception) -> str:
        """Answer a fault of ours; the library would tell the client what it was."""
        _log.error("mail conversation failed", exc_info=error)
        return "451 Error, try again later"
