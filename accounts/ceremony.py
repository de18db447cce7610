"""Describes what a browser does in more than one step: a code after a password, a passkey.

Its state is with us: the browser holds a secret only, which opens nothing by itself. Knows no
cookie and no store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final


class Purpose(StrEnum):
    """What a ceremony is for; values are stored."""

    CODE = "code"
    """A code after a right password."""
    SECOND_FACTOR = "second_factor"
    """An app that shows codes, to be added."""
    RECOVERY_CODES = "recovery_codes"
    """New recovery codes, to be written down."""
    PASSKEY = "passkey"
    """A challenge for a passkey that signs somebody in, or proves once more who they are."""
    NEW_PASSKEY = "new_passkey"
    """A challenge for a passkey that is added."""


LIVES: Final = {
    Purpose.CODE: timedelta(minutes=5),
    # An app must be found, installed and shown the picture.
    Purpose.SECOND_FACTOR: timedelta(minutes=15),
    Purpose.RECOVERY_CODES: timedelta(minutes=15),
    # Longer than a browser waits: W3C WebAuthn Level 3, 15.1, recommends 5 minutes at most.
    Purpose.PASSKEY: timedelta(minutes=5),
    Purpose.NEW_PASSKEY: timedelta(minutes=5),
}
"""How long each may take."""


@dataclass(frozen=True, slots=True)
class Ceremony:
    """One way through some steps."""

    purpose: Purpose
    account_id: str = ""
    """Whose; empty as long as nobody has said who they are."""
    credentials_epoch: int = 0
    """The holder's when it began: in another one it is over."""
    payload: bytes = field(default=b"", repr=False)
    """What the steps share, such as a challenge; kept sealed where it is a secret."""
    by_link: bool = False
    """Whether a link out of the account's mailbox came before, in place of the password."""
