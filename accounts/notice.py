"""Describes the mails to a person: which one, to whom, and how far it has come.

Shapes only: knows no text, no server and no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from accounts.link import Purpose

LAST_NOTICE: Final = "account_deleted"
"""Name of the last mail of an account, which says what stays."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail to a person, by its name; its text is written when it leaves."""

    name: str
    """A key of `gateway.post.notices.NOTICES`."""
    recipient: str = field(default="", repr=False)
    """Empty: the account's own address at the time when the mail leaves."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What the text says besides; no secret."""
    link: Purpose | None = None
    """The link that is made for it when it leaves."""
    link_email: str = field(default="", repr=False)
    """The address that the link is about; empty: the recipient."""
    reach: datetime | None = field(default=None, kw_only=True)
    """When the session began that did what the mail tells of: its link takes back what was added
    since, and what `accounts.link.DISPUTABLE` adds. None: when the mail was queued."""
    once: str = ""
    """Of an account's notices with the same word only the first is kept; empty: each is."""


class MailState(StrEnum):
    """How far a mail has come; the value is stored."""

    QUEUED = "queued"
    """Waits to leave, for the first time or again."""
    SENDING = "sending"
    """Some process is about to hand it over, or has died while it was."""
    SENT = "sent"
    """Taken by the mail server."""
    ABANDONED = "abandoned"
    """Refused for good, or not taken for too long."""


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A notice as the outbox keeps it."""

    id: str
    account_id: str
    notice: Notice
    state: MailState
    tries: int
    """How often somebody began to hand it over; also tells one attempt from the next."""
    created_at: datetime
    next_try_at: datetime
    """While it is queued. While it is being sent, when whoever sends it counts as dead."""
    message_id: str
    """RFC 5322 3.6.4, the same at each try; empty before the first."""
    ended_at: datetime | None
    """When it was sent or abandoned."""
    failure: str
    """Of the last try: the server's reply code and the kind of error; empty if none failed."""


@dataclass(frozen=True, slots=True)
class MailCounts:
    """How the mails of a deployment stand."""

    by_state: Mapping[MailState, int]
    oldest_waiting_at: datetime | None
    """When the oldest mail was queued that is neither sent nor abandoned; None if there is none."""
    untaken: int
    """Abandoned within the last day because no server took it, not because one refused it."""
