"""What a trace may tell is one table, which the documentation shows."""

import pytest

from gateway.telemetry import spans
from gateway.telemetry.spans import ATTRIBUTES, EVENTS, SPANS, Trace


def begun():
    ended = []
    ids = iter(range(1, 100))
    return Trace(b"t" * 16, 1_000, lambda n: next(ids).to_bytes(n), ended.append), ended


def test_each_attribute_is_of_some_span_and_none_besides():
    assert {name for span in SPANS.values() for name in span.attributes} == ATTRIBUTES.keys()


def test_the_tables_name_everything_and_nothing_twice():
    text = spans.markdown()
    for name in (*SPANS, *ATTRIBUTES, *EVENTS):
        assert text.count(f"\n| `{name}` |") == 1


def test_a_span_is_handed_over_when_it_ends_with_times_of_the_wall():
    trace, ended = begun()
    span = trace.begin(spans.CALL, b"p" * 8, 5)
    assert ended == []
    trace.end(span, 7, error="busy")
    assert ended == [span]
    assert (span.start_ns, span.end_ns, span.error) == (1_005, 1_007, "busy")
    assert (span.trace_id, span.parent_id) == (b"t" * 16, b"p" * 8)


def test_no_span_ends_before_it_begins():
    trace, (*ended,) = begun()
    span = trace.begin(spans.HOLD, b"", 5)
    trace.end(span, 3)
    assert span.end_ns == span.start_ns
    assert ended == []


def test_an_attribute_that_is_not_in_the_table_is_a_fault():
    trace, ended = begun()
    span = trace.begin(spans.CALL, b"", 5)
    span.attributes["caller.number"] = "+15005551009"
    with pytest.raises(AssertionError):
        trace.end(span, 7)
    assert ended == []
