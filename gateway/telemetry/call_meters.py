"""Counts the outcomes of calls, from events of `logs.call_events`. No label identifies a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram

WAITS_S: Final = (0.1, 0.25, 0.5, 1, 2, 4, 6, 8, 11, 15, 30, 60)
"""Bounds of the waits for the carrier and for an answer: 6, 8 and 11 are those of E.721."""
LENGTHS_S: Final = (10, 30, 60, 180, 600, 1800, 3600)


class CallMeters:
    """The meters of the calls of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requested = Counter(
            "caller_calls_requested", "Calls that admitted callers asked for.", registry=registry
        )
        self._refused = Counter(
            "caller_calls_refused", "Calls refused, by code.", ["code"], registry=registry
        )
        self._placed = Histogram(
            "caller_call_place_seconds",
            "From the request to the carrier's having accepted the call.",
            buckets=WAITS_S,
            registry=registry,
        )
        self._answered = Histogram(
            "caller_call_answer_seconds",
            "From the request to the answer; its count is the calls answered.",
            buckets=WAITS_S,
            registry=registry,
        )
        self._ended = Counter(
            "caller_calls_ended", "Calls ended, by cause.", ["cause", "by"], registry=registry
        )
        self._lengths = Histogram(
            "caller_call_seconds",
            "Seconds charged for, a call; of those that were settled.",
            buckets=LENGTHS_S,
            registry=registry,
        )

        self._settled_elsewhere = Counter(
            "caller_calls_settled_elsewhere",
            "Calls of this process that another node has settled, taking it for gone.",
            registry=registry,
        )

    def note(self, event: str, fields: Mapping[str, Any]) -> None:
        """Count an event of a call."""
        match event:
            case "call requested":
                self._requested.inc()
            case "call refused":
                self._refused.labels(fields["code"]).inc()
            case "call placed":
                self._placed.observe(fields["after_s"])
            case "call answered":
                self._answered.observe(fields["after_s"])
            case "call ended":
                self._ended.labels(fields["cause_name"], fields["ended_by"]).inc()
            case "call settled":
                self._lengths.observe(fields["seconds"])
            case "call was settled by another node":
                self._settled_elsewhere.inc()
