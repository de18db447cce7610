"""Decides who may ask for an export of personal data, and who may fetch one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from accounts.personal_data import EXPORT_KEPT

A_DAY_MAX: Final = 3
"""Exports of one account within 24 hours: each reads everything."""
TRIES_MAX: Final = 3
"""Attempts at one export: one that kills its maker each time is abandoned."""
CLAIM: Final = timedelta(minutes=2)
"""How long a maker may be silent before it counts as dead: many times as long as one chunk
takes."""
_DAY: Final = timedelta(days=1)


class ExportState(StrEnum):
    """The state of an export; the value is stored."""

    QUEUED = "queued"
    MAKING = "making"
    READY = "ready"
    EXPIRED = "expired"
    """It was ready, and its file has been deleted."""
    FAILED = "failed"
    """Abandoned; another may be requested."""


@dataclass(frozen=True, slots=True)
class Export:
    """What a person has asked for."""

    id: str
    account_id: str
    state: ExportState
    progress: int
    """In percent."""
    session_digest: str = field(repr=False)
    """Name of the session that asked."""
    asked_at: datetime
    tries: int
    """How often it was begun; distinguishes one maker from the next."""
    size_bytes: int
    ended_at: datetime | None
    """When it became ready, or failed."""
    expires_at: datetime | None

    @property
    def is_under_way(self) -> bool:
        """Whether it is queued or being made."""
        return self.state in (ExportState.QUEUED, ExportState.MAKING)

    def can_be_fetched(self, at: datetime) -> bool:
        """Return whether its file can be fetched."""
        is_kept = self.expires_at is not None and at < self.expires_at
        return self.state is ExportState.READY and is_kept


class ExportRefusal(StrEnum):
    """Why an export is refused."""

    UNDER_WAY = "export_under_way"
    TOO_MANY = "export_too_many"


def refusal(asked: Sequence[Export], at: datetime) -> ExportRefusal | None:
    """Return why another export is refused, given the earlier requests."""
    if any(export.is_under_way for export in asked):
        return ExportRefusal.UNDER_WAY
    if sum(export.asked_at > at - _DAY for export in asked) >= A_DAY_MAX:
        return ExportRefusal.TOO_MANY
    return None


def expiry(at: datetime) -> datetime:
    """Return until when an export that becomes ready now can be fetched."""
    return at + EXPORT_KEPT
