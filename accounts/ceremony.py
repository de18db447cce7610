"""Describes ceremonies of several steps in a browser, such as a code after a password.

The server keeps the state; the browser holds only a secret, which opens nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final


class CeremonyPurpose(StrEnum):
    """What a ceremony is for; values are stored."""

    CODE = "code"
    """The code that is asked for after a correct password."""
    SECOND_FACTOR = "second_factor"
    """Adding an app that shows codes."""
    RECOVERY_CODES = "recovery_codes"
    """New recovery codes, which the person writes down."""
    PASSKEY = "passkey"
    """A challenge for a passkey, to sign in or to prove one's identity again."""
    NEW_PASSKEY = "new_passkey"
    """A challenge for a passkey that is being added."""


LIVES: Final = {
    CeremonyPurpose.CODE: timedelta(minutes=5),
    # The person has to find and install an app, and scan the picture.
    CeremonyPurpose.SECOND_FACTOR: timedelta(minutes=15),
    CeremonyPurpose.RECOVERY_CODES: timedelta(minutes=15),
    # Longer than a browser waits: W3C WebAuthn Level 3, 15.1, recommends 5 minutes at most.
    CeremonyPurpose.PASSKEY: timedelta(minutes=5),
    CeremonyPurpose.NEW_PASSKEY: timedelta(minutes=5),
}
"""How long each may take."""


@dataclass(frozen=True, slots=True)
class Ceremony:
    """One way through some steps."""

    purpose: CeremonyPurpose
    account_id: str = ""
    """Empty until the person has said who they are."""
    credentials_epoch: int = 0
    """The holder's epoch when it began; a new epoch ends the ceremony."""
    payload: bytes = field(default=b"", repr=False)
    """What the steps share, such as a challenge; sealed if it is secret."""
    by_link: bool = False
    """Whether the person came by a link from the account's mailbox instead of the password."""
