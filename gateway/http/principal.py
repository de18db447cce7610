"""Defines whom a request is from: a program with an API key, or a signed-in person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from accounts.session import is_stepped_up
from gateway.http.sessions import SignedIn
from gateway.ports import Account
from gateway.scopes import Scope


class Kind(StrEnum):
    """Whether a principal is a program or a person."""

    PROGRAM = "program"
    HOLDER = "holder"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request is from, and what they may do."""

    account: Account
    epoch: str
    """Key epoch of the account's look-up; empty if unknown."""
    scopes: frozenset[Scope]
    signed_in: SignedIn | None = None
    """The session of a holder; None for a program."""

    @property
    def kind(self) -> Kind:
        """Whether it is a program or a person."""
        return Kind.PROGRAM if self.signed_in is None else Kind.HOLDER

    @property
    def authenticated_at(self) -> datetime | None:
        """When a person last proved who they are; None for a program."""
        return None if self.signed_in is None else self.signed_in.session.authenticated_at

    @property
    def methods(self) -> frozenset[str]:
        """How they proved it: RFC 8176 names, empty for a program."""
        return frozenset() if self.signed_in is None else self.signed_in.session.methods

    @property
    def is_proven(self) -> bool:
        """Whether calls and payments may be made: a person must have proven their address.

        Also for requests by a key of theirs; accounts that an operator created have no such person.
        """
        if self.signed_in is None:
            return not self.account.is_unproven
        return self.signed_in.holder.is_proven

    @property
    def has_accepted(self) -> bool:
        """Whether a person has accepted the terms in force; programs need not."""
        return self.signed_in is None or not self.signed_in.missing

    @property
    def credentials_epoch(self) -> int | None:
        """The holder's when they signed in; None for a program."""
        return None if self.signed_in is None else self.signed_in.session.credentials_epoch

    def is_stepped_up(self, at: datetime) -> bool:
        """Return whether a person has proven who they are recently enough for a critical act."""
        return self.signed_in is not None and is_stepped_up(self.signed_in.session, at)
