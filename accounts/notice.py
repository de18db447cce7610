"""Describes the mails to a person: which one, to whom, and their state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from accounts.link import Purpose

LAST_NOTICE: Final = "account_deleted"
"""Name of an account's last mail, which says what remains."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail to a person, by its name; its text is written when it is sent."""

    name: str
    """A key of `gateway.post.notices.NOTICES`."""
    recipient: str = field(default="", repr=False)
    """Empty: the account's address at the time when the mail is sent."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Further values of the text; no secret."""
    link: Purpose | None = None
    """The link that is made for it when it is sent."""
    link_email: str = field(default="", repr=False)
    """The address that the link is about; empty: the recipient."""
    reach: datetime | None = field(default=None, kw_only=True)
    """When the session began that did what the mail reports: its link takes back what was added
    since, extended by `accounts.link.DISPUTABLE`. None: when the mail was queued."""
    once: str = ""
    """Of an account's notices with the same word only the first is kept; empty: all are kept."""


class MailState(StrEnum):
    """The state of a mail; the value is stored."""

    QUEUED = "queued"
    """Waits to be sent, for the first time or again."""
    SENDING = "sending"
    """A process is about to hand it over, or died doing so."""
    SENT = "sent"
    """Taken by the mail server."""
    ABANDONED = "abandoned"
    """Rejected for good, or not accepted for too long."""


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A notice as it is stored in the mail outbox."""

    id: str
    account_id: str
    notice: Notice
    state: MailState
    tries: int
    """How often a process began to hand it over; also distinguishes one attempt from the next."""
    created_at: datetime
    next_try_at: datetime
    """While it is queued: when to try. While it is being sent: when the sender counts as dead."""
    message_id: str
    """RFC 5322 3.6.4, the same at each try; empty before the first."""
    ended_at: datetime | None
    """When it was sent or abandoned."""
    failure: str
    """Of the last try: the server's reply code and the kind of error; empty if none failed."""


@dataclass(frozen=True, slots=True)
class MailCounts:
    """Counts of the mails of a deployment."""

    by_state: Mapping[MailState, int]
    oldest_waiting_at: datetime | None
    """When the oldest mail was queued that is neither sent nor abandoned; None if there is none."""
    untaken: int
    """Abandoned within the last day because no server accepted it, not because one rejected it."""
