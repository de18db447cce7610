"""Defines one-use links in mails: what each is for, and how long it works.

A link is a random secret of which only the SHA-256 is stored. Knows no mail and no store.
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
    """Set another password without the old one."""
    CHANGE_ADDRESS = "change_address"
    """Take the new address, to which the link was sent."""
    UNDO_CHANGE = "undo_change"
    """Go back to the address before, to which the link was sent, and lock."""
    NOT_ME = "not_me"
    """Say that a sign-in was somebody else's: end all sessions, and lock."""
    CANCEL_DELETION = "cancel_deletion"
    """Keep the account after all."""
    SIGN_IN = "sign_in"
    """Begin a session without the password. No mail has it: it is handed over by whoever runs the
    service, and stands for one factor only."""


LIFETIMES: dict[Purpose, timedelta] = {
    Purpose.PROVE_ADDRESS: timedelta(days=3),
    # Whoever reads the mailbox later must not find a way in.
    Purpose.RESET_PASSWORD: timedelta(hours=1),
    Purpose.CHANGE_ADDRESS: timedelta(days=1),
    # A thief changes the address first; its owner may be away for some days.
    Purpose.UNDO_CHANGE: timedelta(days=14),
    Purpose.NOT_ME: timedelta(days=14),
    # As long as a deletion waits; after that it does nothing.
    Purpose.CANCEL_DELETION: timedelta(days=7),
    # What was printed stays in a terminal, or a log.
    Purpose.SIGN_IN: timedelta(hours=1),
}

MAIL_MAX = timedelta(days=3)
"""How long a mail may wait for its server: a link is made when it leaves."""

DISPUTABLE = LIFETIMES[Purpose.NOT_ME] + MAIL_MAX
"""How long an act can be disputed by the link in the mail that tells of it."""

STALE_AFTER_PASSWORD = frozenset({Purpose.CHANGE_ADDRESS, Purpose.SIGN_IN})
"""What another password ends: whoever asked for it may have known only the one before."""
STALE_AFTER_ADDRESS = frozenset(
    {Purpose.PROVE_ADDRESS, Purpose.RESET_PASSWORD, Purpose.CHANGE_ADDRESS, Purpose.SIGN_IN}
)
"""What another address ends: a mailbox that is no more the holder's opens nothing."""
STALE_AFTER_SECOND_FACTOR = frozenset({Purpose.CHANGE_ADDRESS, Purpose.SIGN_IN})
"""What another second factor or passkey ends: whoever asked may have been without it."""
STALE_AFTER_LOCK = frozenset({Purpose.CHANGE_ADDRESS, Purpose.SIGN_IN})
"""What a lock ends. A reset stays, as it is the way out."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it is kept: its secret is in the mail only."""

    purpose: Purpose
    account_id: str
    email: str = field(repr=False)
    """The address the purpose is about: the one to prove, to take or to go back to."""
    expires_at: datetime
    used_at: datetime | None = None

    def works(self, at: datetime) -> bool:
        """Return whether it can be used at this time."""
        return self.used_at is None and at < self.expires_at


def taken_back_since(made_at: datetime, reach: datetime | None) -> datetime:
    """Return from when on a link takes back what was added (see `accounts.notice.Notice.reach`).

    Whoever is disputed may have had another session before. So a link reaches as far as all those
    together that worked when it was made, whichever of them is used.

    Args:
        made_at: When the link was made.
        reach: When the session began whose act its mail tells of; None where that is not known.

    """
    earliest = made_at - DISPUTABLE
    return earliest if reach is None else min(reach, earliest)


def digest(secret: str) -> str:
    """Return what is stored of a link's secret, in hexadecimal; no text is refused."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
