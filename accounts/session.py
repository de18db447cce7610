"""Judges sessions of signed-in browsers: how long they last, and what they may do.

Pure: time is an argument. Knows no cookie and no store.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.holder import Holder

IDLE_MAX = timedelta(days=7)
"""How long a session that is not used lasts."""
AGE_MAX = timedelta(days=30)
"""How long a session lasts in all."""
STEP_UP_MAX = timedelta(minutes=10)
"""How old a proof of identity may be for what cannot be taken back."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser."""

    account_id: str
    device_id: str
    methods: frozenset[str]
    """How the person proved who they are: RFC 8176 names, such as `pwd`, `otp`."""
    credentials_epoch: int
    """The holder's when the session began or last proved itself."""
    began_at: datetime
    seen_at: datetime
    authenticated_at: datetime
    """When the person last proved who they are."""


def name_of(secret: str) -> str:
    """Return a session's name: what a store knows it by, and what opens nothing.

    Without a salt, as a secret of 256 random bits cannot be guessed. No text is refused.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def is_alive(session: Session, holder: Holder, at: datetime) -> bool:
    """Return whether a session still stands for its holder."""
    return (
        session.account_id == holder.account_id
        and session.credentials_epoch == holder.credentials_epoch
        and holder.locked_at is None
        and at - session.seen_at < IDLE_MAX
        and at - session.began_at < AGE_MAX
    )


def is_stepped_up(session: Session, at: datetime) -> bool:
    """Return whether the person proved who they are lately enough for a grave act."""
    return timedelta(0) <= at - session.authenticated_at < STEP_UP_MAX
