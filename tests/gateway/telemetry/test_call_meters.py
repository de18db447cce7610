"""What becomes of calls, counted by its events."""

import pytest
from prometheus_client import CollectorRegistry

from gateway.logs.call_events import EVENTS
from gateway.telemetry.call_meters import CallMeters

CAUSE: dict[str, object] = {"cause": 16, "cause_name": "NORMAL_CLEARING"}
ONE_OF_EACH: dict[str, dict[str, object]] = {
    "call requested": {"key": "k", "country": "US"},
    "call refused": {"code": "too_many_calls"},
    "call placed": {"after_s": 0.2},
    "call answered": {"after_s": 3.0},
    "call ended": {**CAUSE, "ended_by": "caller", "seconds": 9},
    "call settled": {**CAUSE, "seconds": 10, "cost_micros": 5},
    "call was settled by another node": {"seconds": 10, "cost_micros": 5},
}
COUNTED = {
    "call requested": ("caller_calls_requested_total", {}),
    "call refused": ("caller_calls_refused_total", {"code": "too_many_calls"}),
    "call placed": ("caller_call_place_seconds_count", {}),
    "call answered": ("caller_call_answer_seconds_count", {}),
    "call ended": ("caller_calls_ended_total", {"cause": "NORMAL_CLEARING", "by": "caller"}),
    "call settled": ("caller_call_seconds_count", {}),
    "call was settled by another node": ("caller_calls_settled_elsewhere_total", {}),
}


def counts(registry):
    return {event: registry.get_sample_value(*sample) or 0 for event, sample in COUNTED.items()}


def test_there_is_a_meter_for_each_event():
    assert COUNTED.keys() == ONE_OF_EACH.keys() == EVENTS.keys()


@pytest.mark.parametrize("event", ONE_OF_EACH)
def test_an_event_is_counted_once_and_nothing_else_is(event):
    registry = CollectorRegistry()
    meters = CallMeters(registry)
    assert tuple(ONE_OF_EACH[event]) == EVENTS[event]
    meters.note(event, ONE_OF_EACH[event])
    assert counts(registry) == {**dict.fromkeys(COUNTED, 0), event: 1}


def test_waits_and_lengths_are_added_up():
    registry = CollectorRegistry()
    meters = CallMeters(registry)
    for after_s in (1.0, 2.5):
        meters.note("call answered", {"after_s": after_s})
        meters.note("call settled", {**ONE_OF_EACH["call settled"], "seconds": 60})
    assert registry.get_sample_value("caller_call_answer_seconds_sum") == 3.5
    assert registry.get_sample_value("caller_call_answer_seconds_bucket", {"le": "1.0"}) == 1
    assert registry.get_sample_value("caller_call_seconds_sum") == 120
