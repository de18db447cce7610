"""Declares the port for what people decide about their data: deletion, requests, choices, consent.

Every method raises StoreUnavailableError, and is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from accounts.data_request import DataRequest
from accounts.erasure import Erasure, Unspent
from accounts.holder import Holder
from accounts.notice import Notice


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person has entered in the form about the use of their data."""

    objects: bool
    """To the use of quality figures for improving the service."""
    restricts: bool
    """Data are to be kept and not used."""
    muted: frozenset[str]
    """Mails that are switched off."""


NO_WISHES: Final = Wishes(objects=False, restricts=False, muted=frozenset())
"""The choices of a new account."""


class Departures(Protocol):
    """What people decide about their data.

    What a signed-in person asks for carries the credentials epoch of their session.
    """

    async def deletion(self, account_id: str) -> Erasure | None:
        """Return an account's open deletion; None if there is none."""

    async def is_frozen_otherwise(self, account_id: str) -> bool:
        """Return whether an account is frozen for another reason than its deletion."""

    async def strongest_proof_since(self, account_id: str) -> datetime | None:
        """Return when the newest of a holder's second factor and passkeys was added."""

    async def ask_deletion(
        self,
        account_id: str,
        credentials_epoch: int,
        unspent: Unspent,
        due_at: datetime,
        notice: Notice,
    ) -> bool:
        """Note that a person leaves, and freeze the account; False if the session is over."""

    async def cancel_deletion(self, account_id: str, credentials_epoch: int) -> bool | None:
        """Keep the account after all; False if it is too late, None if the session is over."""

    async def cancel_by_link(self, digest: str) -> bool:
        """Use a CANCEL_DELETION link; False if it does not work, or no longer."""

    async def requests(self, account_id: str) -> Sequence[DataRequest]:
        """Return what a person has asked for about their data, the newest first."""

    async def choose(
        self, account_id: str, credentials_epoch: int, wishes: Wishes
    ) -> Holder | None:
        """Store a person's choices and apply them; None if the session is over."""

    async def accepted(self, account_id: str) -> Mapping[str, str]:
        """Return document -> the version that a person accepted last."""

    async def accept(
        self, account_id: str, credentials_epoch: int, versions: Mapping[str, str]
    ) -> bool:
        """Record what a person accepts (document -> version); False if the session is over."""
