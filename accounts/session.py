"""Judges sessions of signed-in browsers: how long they last, and what they may do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.holder import Holder

IDLE_MAX = timedelta(days=7)
"""How long an unused session lasts."""
AGE_MAX = timedelta(days=30)
"""How long a session lasts in all."""
STEP_UP_MAX = timedelta(minutes=10)
"""How old a proof of identity may be for acts that cannot be undone."""
SKEW_MAX = timedelta(seconds=30)
"""How far the clock of the node that wrote a time may be ahead of the one that reads it. A time
further in the future is wrong, and must not make a session last longer."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser."""

    account_id: str
    device_id: str
    methods: frozenset[str]
    """How the person proved who they are: RFC 8176 names, such as `pwd`, `otp`."""
    credentials_epoch: int
    """The holder's epoch when the session began, or when its person last proved who they are."""
    began_at: datetime
    seen_at: datetime
    authenticated_at: datetime
    """When the person last proved who they are."""


def name_of(secret: str) -> str:
    """Return a session's name: its key in the store, which does not open it.

    Without a salt, because a secret of 256 random bits cannot be guessed. Accepts any text.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def is_of_epoch(credentials_epoch: int, holder: Holder) -> bool:
    """Return whether the holder is still in the credentials epoch in which something began."""
    return credentials_epoch == holder.credentials_epoch and holder.locked_at is None


def is_alive(session: Session, holder: Holder, at: datetime) -> bool:
    """Return whether a session is still valid for its holder."""
    return (
        session.account_id == holder.account_id
        and is_of_epoch(session.credentials_epoch, holder)
        and _is_within(IDLE_MAX, session.seen_at, at)
        and _is_within(AGE_MAX, session.began_at, at)
    )


def is_stepped_up(session: Session, at: datetime) -> bool:
    """Return whether the person has proven who they are recently enough for a critical act."""
    return _is_within(STEP_UP_MAX, session.authenticated_at, at)


def _is_within(limit: timedelta, since: datetime, at: datetime) -> bool:
    return -SKEW_MAX <= at - since < limit
