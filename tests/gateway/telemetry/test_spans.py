"""What a trace may tell is one table, which the documentation shows."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.telemetry import spans
from gateway.telemetry.spans import (
    ATTRIBUTES,
    EVENTS,
    SPANS,
    Trace,
    TraceContext,
    parse_traceparent,
)


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


# The example of the Recommendation, 3.2.
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE_ID}-{SPAN_ID}-01"

ids = st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any)


@pytest.mark.parametrize(
    ("value", "is_sampled"),
    [
        (GOOD, True),
        (GOOD[:-2] + "00", False),
        # Flags that are not known yet say nothing to us (3.2.2.5).
        (GOOD[:-2] + "fe", False),
        (GOOD[:-2] + "ff", True),
        # A later version is read as far as this one goes (3.2.4).
        ("cc" + GOOD[2:], True),
        ("cc" + GOOD[2:] + "-what the future brings", True),
    ],
)
def test_a_good_header_is_read(value, is_sampled):
    context = TraceContext(bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID), is_sampled)
    assert parse_traceparent([value]) == context


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "-",
        GOOD + "-more",
        "ff" + GOOD[2:],
        "cc" + GOOD[2:] + "more",
        "cc" + GOOD[2:] + "-" + "x" * 201,
        GOOD.upper(),
        GOOD.replace("-", "_"),
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace("0a", "٠a"),
    ],
)
def test_a_bad_header_is_none(value):
    assert parse_traceparent([value]) is None


def test_two_headers_are_none():
    assert parse_traceparent([]) is None
    assert parse_traceparent([GOOD, GOOD]) is None


@given(*ids, st.booleans())
def test_what_is_written_is_read_again(trace_id, span_id, is_sampled):
    context = TraceContext(trace_id, span_id, is_sampled)
    assert parse_traceparent([context.traceparent()]) == context


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*"))
@example(GOOD)
def test_whatever_is_read_was_well_formed(value):
    context = parse_traceparent([value])
    if context is not None:
        assert re.match(r"(?!ff)[0-9a-f]{2}-", value)
        assert value[3:35] == context.trace_id.hex() != "0" * 32
        assert value[36:52] == context.span_id.hex() != "0" * 16
        # Each hop writes the version that it knows, so this ends whatever a later one has added.
        assert context.traceparent()[:53] == "00" + value[2:53]
