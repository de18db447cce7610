"""Says how far a supervisor may go in a live call: by its account's rule, and by a grant. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

GRANT_PREFIX: Final = "sg_"
"""Of the token that stands for a grant, which tells it from a call token."""
GRANT_S: Final = 60
"""How long a grant may be used: whoever asks for one connects at once."""
SILENT_REASON_MAX: Final = 300


class Mode(StrEnum):
    """What a supervisor does in a call; each allows what stands before it."""

    LISTEN = "listen"
    """Hears both; nobody hears them."""
    WHISPER = "whisper"
    """The caller hears them too, the phone does not."""
    BARGE = "barge"
    """Both hear them."""
    TAKE_OVER = "take-over"
    """They speak with the phone in place of the caller."""

    def allows(self, other: Mode) -> bool:
        """Return whether whoever may do this may do the other."""
        modes = tuple(Mode)
        return modes.index(other) <= modes.index(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """What an account lets supervisors do in its calls."""

    most: Mode | None = None
    """None: nothing."""
    silent_reason: str = ""
    """Why no tone announces them; empty where one does."""

    @property
    def announces(self) -> bool:
        """Whether a tone tells both parties, and a note the caller's page."""
        return not self.silent_reason

    def allows_more_than(self, other: Rule) -> bool:
        """Return whether it allows what the other does not, or the same unannounced."""
        if self.most is None:
            return False
        if other.most is None or not other.most.allows(self.most):
            return True
        return other.announces and not self.announces


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did in a live call, as the audit log of the call's account has it."""

    at: datetime
    by: str
    """An `accounts.audit_log.Actor`."""
    key_id: str
    """The account's own key that asked; empty for everybody else."""
    call_id: str
    mode: Mode
    reason: str
    """As it was given when leave was asked for; its end may be missing."""


def readable(text: str) -> str:
    """Return a reason on one line; empty where it says nothing that a person can read."""
    line = " ".join(text.split())
    return line if line.isprintable() else ""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to supervise one call, given to one person or program."""

    call_id: str
    account_id: str
    """Whose call it is."""
    reason: str
    """As whoever asks for it gave it; the audit log keeps it."""
    operator: str = ""
    """Who the operator is: their key; empty where the account itself asks."""
    key_id: str = ""
    """The key that asked; empty for a holder who is signed in."""
    credentials_epoch: int | None = None
    """The holder's when they asked; None for a key."""
    device_id: str = ""
    session_began_at: datetime | None = None
    """With the device, of which session of theirs it is."""
    origin: str = ""
    """The page it was given to; empty for a program."""
