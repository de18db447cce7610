"""Describes what a person asks for about their data, and when it must be answered.

Holds only the account's number and dates.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from accounts.audit_log import Actor

NOTE_MAX = 200
"""Characters of an operator's note."""

WITHDRAWN = "withdrawn"
"""The note of a request that its holder has withdrawn; stored."""


class Right(StrEnum):
    """The rights of the GDPR that a request is about; values are stored."""

    ACCESS = "access"
    """Article 15."""
    CORRECTION = "correction"
    """Article 16."""
    DELETION = "deletion"
    """Article 17."""
    RESTRICTION = "restriction"
    """Article 18."""
    EXPORT = "export"
    """Article 20."""
    OBJECTION = "objection"
    """Article 21."""


@dataclass(frozen=True, slots=True)
class DataRequest:
    """A request and its status."""

    id: int
    account_id: str
    right: Right
    asked_at: datetime
    due_at: datetime
    done_at: datetime | None = None
    done_by: Actor | None = None
    note: str = ""
    """An operator's note on what was done, or `WITHDRAWN`. No personal data."""

    @property
    def is_withdrawn(self) -> bool:
        """Whether its holder has withdrawn it."""
        return self.done_by is Actor.HOLDER and self.note == WITHDRAWN

    def is_late(self, at: datetime) -> bool:
        """Return whether it should have been answered by now."""
        return self.done_at is None and at > self.due_at


def due(asked_at: datetime) -> datetime:
    """Return when a request must be answered: within one month (GDPR, article 12(3)).

    The month ends on the day with the same number or, if the last month has no such day, on its
    last day (Regulation 1182/71, article 3(2)(c)).
    """
    year = asked_at.year + asked_at.month // 12
    month = asked_at.month % 12 + 1
    day = min(asked_at.day, calendar.monthrange(year, month)[1])
    return asked_at.replace(year=year, month=month, day=day)
