"""Runs the simulated mail server as a process."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.errors import SettingsError
from gateway.roles import listening
from gateway.roles.process import EndedError, complain, serve_until_stopped
from gateway.settings import Settings
from simulators.mail import service

PORT = 8100
SMTP_HOST = "127.0.0.1"
_LOOPBACK = frozenset({SMTP_HOST, "localhost"})


async def work(
    settings: Settings,
    *,
    is_child: bool,
    host: str = "127.0.0.1",
    port: int = PORT,
    listener: int | None = None,
    smtp_listener: int | None = None,
) -> None:
    """Serve until asked to stop; as a child, on the sockets that it has inherited.

    Raises SettingsError, EndedError.
    """
    smtp_port = _smtp_port(settings)
    simulated = service.MailSimulatorSettings(
        host=host,
        port=port,
        listener=listener,
        smtp_host=SMTP_HOST,
        smtp_port=smtp_port,
        smtp_listener=smtp_listener,
        sign_up_url=f"{settings.origin}/sign-up",
    )
    served = service.MailSimulatorService(simulated)
    try:
        await serve_until_stopped(served, host, port, is_child=is_child)
    except service.SmtpAddressError as error:
        address = f"TCP port {smtp_port} of {SMTP_HOST}"
        text, code = listening.refusal("CALLER_SMTP_URL", "CALLER_SMTP_URL", address, error.reason)
        complain(text, "The gateway needs the same CALLER_SMTP_URL.")
        raise EndedError(code) from None


def _smtp_port(settings: Settings) -> int:
    """Return the port that the gateway sends mails to. Raises SettingsError."""
    parts = urlsplit(settings.smtp_url.reveal())
    try:
        port = parts.port
    except ValueError:
        port = None
    # It has no certificate, and accepts no password.
    if parts.scheme != "smtp" or parts.username or parts.hostname not in _LOOPBACK or not port:
        raise SettingsError(
            "CALLER_SMTP_URL must be smtp://127.0.0.1 and a port, without a password, and"
            " CALLER_MAIL_FROM any address; the gateway needs the same."
        )
    return port
