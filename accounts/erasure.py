"""Decides the deletion of an account: when it begins, in which steps it runs, who may cancel it.

    WAITING ──── ERASING ──── DONE
       └──────── CANCELLED

Only names the steps; `gateway.charging.account_erasure` performs them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from accounts.audit_log import Actor

GRACE: Final = timedelta(days=7)
"""How long a person may change their mind: a thief's click, or a moment's anger, must not be
final."""
STRONG_METHODS: Final = frozenset({"mfa"})
"""Methods (RFC 8176) by which a person has proven more than knowledge of a password."""


class ErasureState(StrEnum):
    """The state of a deletion; values are stored."""

    WAITING = "waiting"
    """It can be cancelled; the account is frozen."""
    ERASING = "erasing"
    """It has begun, and cannot be stopped."""
    DONE = "done"
    CANCELLED = "cancelled"


class ErasureStep(StrEnum):
    """What is done, in this order; values are stored. A step is repeated until it completes.

    Whatever leads to a person's data goes last: a step needs what later steps forget.
    """

    CLOSE = "close"
    """The account is closed for good, and its keys are revoked."""
    CALLS = "calls"
    """Its calls have ended and are booked."""
    CREDIT = "credit"
    """Its credit is refunded or written off."""
    CUSTOMER = "customer"
    """The payment service forgets the customer and the saved cards."""
    RECORDS = "records"
    """Only what the books need is left of calls and payments."""
    PERSON = "person"
    """The holder and all data about the person are gone; a last mail says so."""
    SESSIONS = "sessions"
    """All sessions are over, and no process remembers the holder."""
    FILES = "files"
    """Files that still contain what was deleted are rewritten."""


STEPS: Final = tuple(ErasureStep)


class Unspent(StrEnum):
    """What happens to credit that is left; values are stored."""

    REFUND = "refund"
    """It goes back to the cards it came from; what no card can take back is given up."""
    GIVE_UP = "give_up"
    """It is given up, except for payments made after the request: those go back to their card."""
    KEEP = "keep"
    """An operator has checked that there is none; what no card can take back stays in the books."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The deletion of one account."""

    account_id: str
    state: ErasureState
    step: ErasureStep
    """The step that comes next, or is in progress."""
    unspent: Unspent
    actor: Actor
    """Who asked for it."""
    asked_at: datetime
    due_at: datetime
    """When it begins, unless it is cancelled before; or when it was resumed."""
    ended_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is going to happen, or in progress."""
        return self.state in {ErasureState.WAITING, ErasureState.ERASING}


def after(step: ErasureStep) -> ErasureStep | None:
    """Return the next step; None after the last."""
    following = STEPS.index(step) + 1
    return STEPS[following] if following < len(STEPS) else None


def is_strong(methods: Collection[str]) -> bool:
    """Return whether a proof allows a deletion without grace: a second factor or a passkey."""
    return bool(STRONG_METHODS.intersection(methods))


def must_repeat(erased_at: datetime, created_at: datetime) -> bool:
    """Return whether an account that exists although it was erased came back with an old backup.

    An account that was created after the erasure only has the same number.
    """
    return created_at < erased_at
