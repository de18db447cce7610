"""Creates and revokes a signed-in person's API keys."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from accounts.link import Purpose
from accounts.notice import Notice
from accounts.session import is_stepped_up
from billing.clock import Clock
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.http.sessions import SignedIn
from gateway.limits.velocity import key_uses, refuse
from gateway.own_keys import HolderKeys, KeyMaking, NewKey, OwnKey
from gateway.ports import Velocity
from gateway.scopes import PAGE, Scope, to_text
from gateway.shown_name import NameFault, fault_of

LABEL_CHARS_MAX: Final = 40
LIFETIMES: Final = {30: timedelta(days=30), 90: timedelta(days=90), 365: timedelta(days=365)}
"""Allowed numbers of days -> how long a key stays valid."""
_KEY_BYTES: Final = 18
"""144 bits, which cannot be guessed."""
_LABEL_FAULTS: Final = {
    NameFault.NEEDED: "label_needed",
    NameFault.HIDDEN: "characters_hidden",
    NameFault.LONG: "label_long",
}


@dataclass(frozen=True, slots=True)
class KeyForm:
    """The requested properties of a key."""

    label: str
    scopes: frozenset[Scope]
    day_cap_micros: int | None
    days: int | None
    """How long it stays valid; None for ever."""


@dataclass(frozen=True, slots=True)
class KeyMade:
    """A new key, which is shown only now."""

    label: str
    secret: str = field(repr=False)


def secret_of(session_secret: str, once: str) -> str:
    """Return the random part of the key that a submitted form creates.

    It is the same for the same form, so that a form that is sent again, because its answer was
    lost, creates no second key and shows the first one. It is as random as the session's secret,
    which it does not reveal (HMAC-SHA256 as a key derivation, NIST SP 800-108).
    """
    digest = hmac.digest(session_secret.encode(), b"api key\0" + once.encode(), "sha256")
    return urlsafe_b64encode(digest[:_KEY_BYTES]).decode()


@dataclass(frozen=True, slots=True)
class Keys:
    """Creates and revokes keys. Every method raises StoreUnavailableError."""

    store: HolderKeys
    velocity: Velocity
    clock: Clock

    async def standing(self, who: SignedIn) -> Sequence[OwnKey]:
        """Return a person's keys, the newest first."""
        return await self.store.standing(who.account.id)

    async def make(
        self, who: SignedIn, form: KeyForm, *, secret: str, key_hash: str
    ) -> KeyMade | Faults | SessionOver | StepUpNeeded:
        """Create a key; `key_hash` is stored instead of `secret`.

        Raises RequestRefusedError if too many were created within the hour.
        """
        at = self.clock()
        if not is_stepped_up(who.session, at):
            return StepUpNeeded()
        label = " ".join(form.label.split())
        if errors := _errors(label, form):
            return Faults(errors)
        refuse(await self.velocity.hit(key_uses(who.session.account_id)))
        new = NewKey(
            key_hash,
            label,
            form.scopes,
            form.day_cap_micros,
            None if form.days is None else at + LIFETIMES[form.days],
        )
        session = who.session
        values = {"label": label, "at": at.isoformat(), "scopes": to_text(form.scopes)}
        notice = Notice(
            "key_made",
            who.holder.email,
            values,
            link=Purpose.NOT_ME,
            reach=session.began_at,
        )
        made = await self.store.make(session.account_id, session.credentials_epoch, new, notice)
        match made:
            case KeyMaking.MADE:
                return KeyMade(label, secret)
            case KeyMaking.SESSION_OVER:
                return SessionOver()
            case KeyMaking.TOO_MANY:
                return Faults({"label": "keys_too_many"})
        return Faults({"label": "key_revoked"})

    async def revoke(self, who: SignedIn, key_id: str) -> SessionOver | None:
        """Revoke one of a person's keys; does nothing for someone else's key."""
        session = who.session
        was_valid = await self.store.revoke(session.account_id, session.credentials_epoch, key_id)
        return None if was_valid else SessionOver()


def _errors(label: str, form: KeyForm) -> dict[str, str]:
    errors = {}
    if (fault := fault_of(label, LABEL_CHARS_MAX)) is not None:
        errors["label"] = _LABEL_FAULTS[fault]
    if not form.scopes or not form.scopes <= PAGE:
        errors["calls"] = "scopes_needed"
    if form.days is not None and form.days not in LIFETIMES:
        errors["days"] = "days_invalid"
    return errors
