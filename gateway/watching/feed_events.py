"""Defines the events of the live feed: their names, and the shape of each one's data. Shapes only.

Times are in UTC, money is integer micros of the row's currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from gateway.watching.alarm_view import AlarmView
from gateway.watching.rows import CallRow, NodeRow, Warned
from gateway.watching.samples import Sample
from gateway.watching.totals import Totals


class FeedSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to see: it replaces everything sent before."""

    at: datetime
    audience: Literal["all", "account", "call"]
    """Whose calls: everyone's, those of one account, or one call."""
    calls: Sequence[CallRow]
    totals: Totals | None
    """Null in a stream about one call."""
    nodes: Sequence[NodeRow]
    """Like alarms and warnings, only in a stream of everyone's calls; empty otherwise."""
    alarms: Sequence[AlarmView]
    warnings: Sequence[Warned]
    samples: Sequence[Sample]
    """Only in a stream about one call."""


class FeedDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is new; anything left out has not changed."""

    at: datetime
    calls: Sequence[CallRow] = ()
    """New and changed ones, complete."""
    gone: Sequence[str] = ()
    """Ids of calls that are no longer shown: a minute after their end."""
    totals: Totals | None = None
    nodes: Sequence[NodeRow] | None = None
    """All nodes, if anything about them has changed."""
    alarms: Sequence[AlarmView] | None = None
    """All active alarms, if anything about them has changed."""
    warnings: Sequence[Warned] = ()
    """New ones."""
    samples: Sequence[Sample] = ()
    """New ones."""


class FeedEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Why the stream is closed for good: its reader may no longer watch."""

    code: str
    """Code of the problem that the same request would be answered with now."""


EVENTS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "snapshot": FeedSnapshot,
    "delta": FeedDelta,
    "end": FeedEnd,
}
"""Name of each event -> the shape of its data."""
