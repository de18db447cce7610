"""Assembles the simulated mail server: one port for SMTP, one for the page of its mails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect

from simulators.mail.errors import SmtpAddressError
from simulators.mail.mailbox import Mailbox
from simulators.mail.settings import MailSimulatorSettings
from simulators.mail.site import Site, not_found
from simulators.mail.smtp import SmtpServer
from simulators.serving import HttpServer, broken_off, listen

__all__ = ["MailSimulatorService", "MailSimulatorSettings", "SmtpAddressError"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MailSimulatorService:
    """One mail server, and the page of its mails."""

    def __init__(
        self, settings: MailSimulatorSettings, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._settings = settings
        self._now = now
        self._http: HttpServer | None = None
        self._smtp: SmtpServer | None = None
        self._smtp_port = 0

    @property
    def origin(self) -> str:
        """Where the page is; only while started."""
        assert self._http is not None, "started"
        return self._http.origin

    @property
    def smtp_port(self) -> int:
        """Where mails are taken; only while started."""
        assert self._smtp is not None, "started"
        return self._smtp_port

    async def start(self) -> None:
        """Open both ports and answer; a failure leaves none open.

        Raises:
            OSError: the address of the page is taken.
            SmtpAddressError: the address of the mail server is.
        """
        settings, mailbox = self._settings, Mailbox(self._settings.mails_kept)
        http = HttpServer(settings.host, settings.port, settings.listener)
        try:
            listening = listen(settings.smtp_host, settings.smtp_port, settings.smtp_listener)
        except OSError as error:
            await http.stop()
            raise SmtpAddressError(error) from error
        self._smtp_port = listening.getsockname()[1]
        smtp = SmtpServer(listening, mailbox, settings, self._now)
        await smtp.start()
        http.start(
            Starlette(
                routes=Site(mailbox, settings.sign_up_url).routes(),
                exception_handlers={404: not_found, ClientDisconnect: broken_off},
            )
        )
        self._http, self._smtp = http, smtp

    async def stop(self) -> None:
        """Close both ports and forget everything; safe to call twice."""
        http, smtp = self._http, self._smtp
        if http is None or smtp is None:
            return
        # Before anything is awaited, so that a second call finds nothing to do.
        self._smtp = None
        await smtp.stop()
        await http.stop()

    async def serve(self) -> None:
        """Wait until the server of the page ends; only while started."""
        assert self._http is not None, "started"
        await self._http.serve()
