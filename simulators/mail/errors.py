"""Defines what the simulated mail server raises; `MailSimulatorError` is the root."""

from __future__ import annotations


class MailSimulatorError(Exception):
    """Root of everything the simulated mail server raises."""


class MailSimulatorSettingsError(MailSimulatorError):
    """A setting is out of bounds."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name} {rule}")
        self.name = name


class SmtpAddressError(MailSimulatorError):
    """The address for SMTP cannot be listened on; that of the page raises OSError itself."""

    def __init__(self, reason: OSError) -> None:
        super().__init__("the address for SMTP cannot be listened on")
        self.reason = reason
