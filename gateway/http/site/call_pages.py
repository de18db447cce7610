"""Declares the pages of calls; each dataclass is all that its template gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from gateway.http.site.call_query import CallQuery
from gateway.http.site.receipts import Step


@dataclass(frozen=True, slots=True)
class CallFacts:
    """One call, as its caller reads it."""

    id: str
    at: datetime
    number: str
    """E.164; empty if only the end of the call is known."""
    country: str
    """ISO 3166 alpha-2; empty for none."""
    seconds: int
    cost: str
    """As money; empty while unknown."""
    outcome: str
    """A key of the words under `outcome.`."""
    quality: str
    """A key of the words under `quality.`."""


@dataclass(frozen=True, slots=True)
class CallsPage:
    """The calls of an account, a page at a time."""

    template: ClassVar[str] = "calls.html"
    calls: Sequence[CallFacts]
    query: CallQuery
    outcomes: Sequence[str]
    """The outcomes that can be filtered by."""
    ended_by: Sequence[str]
    is_first: bool
    following: str
    """URL query of the next, older calls; empty for none."""
    download: str
    """URL query of all these calls as CSV."""
    first: str
    """URL query of the newest of these calls."""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallLineRow:
    """A charge or a refund of a call."""

    at: datetime
    kind: str
    """A key of the words under `call_line.`."""
    amount: str
    why: str
    """A key of the words under `refund.`; empty for none."""
    reason: str
    """The reason, if it has no words in our languages."""


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A measured figure of a call."""

    column: str
    """Its name among the words of the data map."""
    unit: str
    """Name of its `Unit`."""
    value: Any
    """Whole seconds, a time, or text."""


@dataclass(frozen=True, slots=True)
class OneCallPage:
    """All about one call."""

    template: ClassVar[str] = "call.html"
    call: CallFacts
    answered_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    cause: str
    """A key of the words under `cause.`; empty while it is running."""
    per_minute: str
    """As money; empty if unknown."""
    connect_fee: str
    """Empty for none."""
    figures: Sequence[FigureRow]
    """What was measured of it, beside what the page names by itself."""
    steps: Sequence[Step]
    """How its price is calculated; empty while it is running, and if it cost nothing."""
    lines: Sequence[CallLineRow]
