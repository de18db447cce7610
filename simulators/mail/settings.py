"""Defines the settings of the simulated mail server: unit, default, bound.

Reads no environment.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulators.mail.errors import MailSimulatorSettingsError

_BOUNDS: dict[str, tuple[float, float]] = {
    "port": (0, 65535),
    "smtp_port": (0, 65535),
    "mails_kept": (1, 10_000),
    "mail_bytes_max": (1_000, 10_000_000),
    "conversations_max": (1, 10_000),
    "silence_s_max": (0.05, 600),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSimulatorSettings:
    """Describes one mail server and the page of its mails."""

    host: str = "127.0.0.1"
    """Bound address of the page; anyone who reaches it reads every mail."""
    port: int = 0
    """0 lets the system choose; read `MailSimulatorService.origin`."""
    listener: int | None = None
    """Descriptor of a socket that listens already, which is used instead of opening the port."""
    smtp_host: str = "127.0.0.1"
    """Bound address of the mail server, which asks for no password."""
    smtp_port: int = 0
    """0 lets the system choose; read `MailSimulatorService.smtp_port`."""
    smtp_listener: int | None = None
    """The same of the mail server."""
    sign_up_url: str = ""
    """Where a first mail can be caused, shown while there is none."""
    mails_kept: int = 200
    """The oldest goes first."""
    mail_bytes_max: int = 128 * 1024
    """Bytes of a mail with its headers; told to clients by SIZE (RFC 1870)."""
    conversations_max: int = 50
    """Connections at a time; further ones are turned away with 421."""
    silence_s_max: float = 60.0
    """How long a client may take for its next command, or for all the data of a mail."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense, naming the knob."""
        for name, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise MailSimulatorSettingsError(name, f"must be between {low} and {high}")
