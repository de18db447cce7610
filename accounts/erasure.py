"""Judges the deletion of an account: when it begins, in which steps it is done, who may end it.

    WAITING ──── ERASING ──── DONE
       └──────── CANCELLED

Pure: time is an argument. Knows no store, and what a step does only by name.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from accounts.audit_log import Actor

GRACE: Final = timedelta(days=7)
"""How long a person may come back: a thief's click, or a moment's anger, must not be final."""
STRONG_METHODS: Final = frozenset({"mfa"})
"""Methods (RFC 8176) by which somebody has proven more than that they know a password."""


class State(StrEnum):
    """How far a deletion has come; values are stored."""

    WAITING = "waiting"
    """It can be cancelled; the account is frozen."""
    ERASING = "erasing"
    """It has begun, and nothing stops it."""
    DONE = "done"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What is done, in this order; values are stored. Each may be repeated, and is until it ends.

    What finds a person's things goes last: a step needs what those after it forget.
    """

    CLOSE = "close"
    """The account is closed for good, its keys are revoked."""
    CALLS = "calls"
    """Its calls have ended, and are booked."""
    CREDIT = "credit"
    """Its credit is sent back, or written off."""
    CUSTOMER = "customer"
    """The payment service forgets the customer and the saved cards."""
    RECORDS = "records"
    """Of calls and payments only what the books need is left."""
    PERSON = "person"
    """The holder, and all that is kept of the person, is gone; a last mail says so."""
    SESSIONS = "sessions"
    """Nobody is signed in, and no process remembers the holder."""
    FILES = "files"
    """Files that still have what was deleted are written anew."""


STEPS: Final = tuple(Step)


class Unspent(StrEnum):
    """What happens to credit that is left; values are stored."""

    REFUND = "refund"
    """It goes back to the cards it came from; what no card takes back is given up."""
    GIVE_UP = "give_up"
    """It is given up, but for what was paid after that was asked: that goes back to its card."""
    KEEP = "keep"
    """An operator has seen that there is none; what no card takes back stays in the books."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The deletion of one account."""

    account_id: str
    state: State
    step: Step
    """The one that is to be done next, or being done."""
    unspent: Unspent
    actor: Actor
    """Who asked for it."""
    asked_at: datetime
    due_at: datetime
    """When it begins, unless it is cancelled before; or when it was taken up again."""
    ended_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is going to happen, or happening."""
        return self.state in {State.WAITING, State.ERASING}


def after(step: Step) -> Step | None:
    """Return the next step; None after the last."""
    following = STEPS.index(step) + 1
    return STEPS[following] if following < len(STEPS) else None


def is_strong(methods: Collection[str]) -> bool:
    """Return whether a proof allows a deletion without grace: a second factor or a passkey."""
    return bool(STRONG_METHODS.intersection(methods))


def must_repeat(erased_at: datetime, created_at: datetime) -> bool:
    """Return whether an account that is there, though it was erased, came back with an old copy.

    One that was made after it only has the same number.
    """
    return created_at < erased_at
