"""Defines one-use links in mails: what each is for, and how long it works.

A link is a random secret of which only the SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Purpose(StrEnum):
    """What a link does when it is used."""

    PROVE_ADDRESS = "prove_address"
    """Prove the address of a new holder."""
    RESET_PASSWORD = "reset_password"  # noqa: S105
    """Set a new password without the old one."""
    CHANGE_ADDRESS = "change_address"
    """Switch to the new address, to which the link was sent."""
    UNDO_CHANGE = "undo_change"
    """Go back to the previous address, to which the link was sent, and lock."""
    NOT_ME = "not_me"
    """Report that someone else signed in: end all sessions, and lock."""
    CANCEL_DELETION = "cancel_deletion"
    """Keep the account after all."""
    SIGN_IN = "sign_in"
    """Begin a session without the password. It is never mailed: an operator hands it over, and it
    counts as one factor only."""


LIFETIMES: dict[Purpose, timedelta] = {
    Purpose.PROVE_ADDRESS: timedelta(days=3),
    # Someone who reads the mailbox later must not find a way in.
    Purpose.RESET_PASSWORD: timedelta(hours=1),
    Purpose.CHANGE_ADDRESS: timedelta(days=1),
    # A thief changes the address first, and its owner may be away for some days.
    Purpose.UNDO_CHANGE: timedelta(days=14),
    Purpose.NOT_ME: timedelta(days=14),
    # As long as a deletion waits; after that it would do nothing.
    Purpose.CANCEL_DELETION: timedelta(days=7),
    # What was printed stays in a terminal, or a log.
    Purpose.SIGN_IN: timedelta(hours=1),
}

MAIL_MAX = timedelta(days=3)
"""How long a mail may wait for its server: a link is made when it leaves."""

DISPUTABLE = LIFETIMES[Purpose.NOT_ME] + MAIL_MAX
"""How long an act can be disputed by the link in the mail that reports it."""

STALE_AFTER_PASSWORD = frozenset({Purpose.CHANGE_ADDRESS, Purpose.SIGN_IN})
"""Links that a new password ends: the person who asked for them may have known only the old one."""
STALE_AFTER_ADDRESS = frozenset(
    {Purpose.PROVE_ADDRESS, Purpose.RESET_PASSWORD, Purpose.CHANGE_ADDRESS, Purpose.SIGN_IN}
)
"""Links that a new address ends: a mailbox that is no longer the holder's opens nothing."""
STALE_AFTER_SECOND_FACTOR = frozenset({Purpose.CHANGE_ADDRESS, Purpose.SIGN_IN})
"""Links that a new second factor or passkey ends: the person who asked for them may have had
neither."""
STALE_AFTER_LOCK = frozenset({Purpose.CHANGE_ADDRESS, Purpose.SIGN_IN})
"""Links that a lock ends. A password reset stays, because it is the way out."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it is stored; only the mail has its secret."""

    purpose: Purpose
    account_id: str
    email: str = field(repr=False)
    """The address the purpose is about: the one to prove, to switch to or to go back to."""
    expires_at: datetime
    used_at: datetime | None = None

    def works(self, at: datetime) -> bool:
        """Return whether it can be used at this time."""
        return self.used_at is None and at < self.expires_at


def taken_back_since(made_at: datetime, reach: datetime | None) -> datetime:
    """Return the moment from which a link takes back what was added (see `Notice.reach`).

    The intruder may have had another session before. So a link reaches back as far as all links
    together that worked when it was made, whichever of them is used.

    Args:
        made_at: When the link was made.
        reach: When the session began whose act its mail reports; None if that is not known.
    """
    earliest = made_at - DISPUTABLE
    return earliest if reach is None else min(reach, earliest)


def digest(secret: str) -> str:
    """Return the digest of a link's secret that is stored, in hexadecimal; accepts any text."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
