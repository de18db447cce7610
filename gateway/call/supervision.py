"""Decides how far a supervisor may go in a live call, by account rule and grant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

GRANT_PREFIX: Final = "sg_"
"""Prefix of a grant's token, which distinguishes it from a call token."""
GRANT_S: Final = 60
"""How long a grant may be used: the client that asks for one connects at once."""
SILENT_REASON_MAX: Final = 300


class Mode(StrEnum):
    """What a supervisor does in a call; each mode allows the ones before it."""

    LISTEN = "listen"
    """They hear both parties; no one hears them."""
    WHISPER = "whisper"
    """The caller hears them too, the phone does not."""
    BARGE = "barge"
    """Both hear them."""
    TAKE_OVER = "take-over"
    """They speak with the phone in place of the caller."""

    def allows(self, other: Mode) -> bool:
        """Return whether someone allowed this mode may also use the other."""
        modes = tuple(Mode)
        return modes.index(other) <= modes.index(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """What an account lets supervisors do in its calls."""

    most: Mode | None = None
    """None: nothing."""
    silent_reason: str = ""
    """Why they are not announced by a tone; empty if they are."""

    @property
    def announces(self) -> bool:
        """Whether they are announced: by a tone to both parties, by a note on the caller's page."""
        return not self.silent_reason

    def allows_more_than(self, other: Rule) -> bool:
        """Return whether it allows more than the other, or the same unannounced."""
        if self.most is None:
            return False
        if other.most is None or not other.most.allows(self.most):
            return True
        return other.announces and not self.announces


@dataclass(frozen=True, slots=True)
class Deed:
    """What someone did in a live call, as recorded in the audit log of the call's account."""

    at: datetime
    by: str
    """An `accounts.audit_log.Actor`."""
    key_id: str
    """The account's own key that asked; empty for everyone else."""
    call_id: str
    mode: Mode
    reason: str
    """As given when the grant was requested; may be cut short."""


def readable(text: str) -> str:
    """Return a reason on one line; empty if it has no readable text."""
    line = " ".join(text.split())
    return line if line.isprintable() else ""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to supervise one call, given to one person or program."""

    call_id: str
    account_id: str
    """Whose call it is."""
    reason: str
    """As given by the requester; kept in the audit log."""
    operator: str = ""
    """The key of the operator; empty where the account itself asks."""
    key_id: str = ""
    """The key that asked; empty for a holder who is signed in."""
    credentials_epoch: int | None = None
    """The holder's, when they asked; None for a key."""
    device_id: str = ""
    session_began_at: datetime | None = None
    """Together with the device, identifies the holder's session."""
    origin: str = ""
    """The page it was given to; empty for a program."""
