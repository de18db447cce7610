"""Keeps the newest mails. Pure: mails and times in, mails out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from simulators.mail.mime import read_subject


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it was handed over."""

    id: int
    """Counts from 1 in the order of arrival."""
    at: datetime
    """When it arrived, in UTC."""
    sender: str
    recipients: tuple[str, ...]
    """Sender and recipients as the client told them; what the headers say is not looked at."""
    subject: str
    raw: bytes = field(repr=False)
    """Headers and body; read anew each time it is shown, so that a mail costs its bytes only."""


class Mailbox:
    """The newest mails to everybody.

    Args:
        kept: how many; the oldest goes first.
    """

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._mails: deque[Mail] = deque(maxlen=kept)
        self._count = 0

    def add(self, sender: str, recipients: tuple[str, ...], raw: bytes, at: datetime) -> Mail:
        """Keep a mail that arrived at a time in UTC."""
        self._count += 1
        mail = Mail(self._count, at, sender, recipients, read_subject(raw), raw)
        self._mails.append(mail)
        return mail

    def newest(self) -> Iterator[Mail]:
        """Return the mails that are kept, the newest first."""
        return reversed(self._mails)

    def find(self, mail_id: int) -> Mail | None:
        """Return a mail; None if there was none, or it has made room for newer ones."""
        return next((mail for mail in self._mails if mail.id == mail_id), None)
