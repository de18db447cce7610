"""What is written is what the protocol's own definitions read."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry import spans
from gateway.telemetry.otlp import Encoder
from gateway.telemetry.spans import ATTRIBUTES, EVENTS, SPANS, SpanKind, TraceSpan
from tests.gateway.telemetry.collector import read

KINDS = {SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3}
"""By trace.proto."""
uint64 = st.integers(0, 2**64 - 1)
some_spans = st.builds(
    TraceSpan,
    name=st.sampled_from([*SPANS]),
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent_id=st.just(b"") | st.binary(min_size=8, max_size=8),
    start_ns=uint64,
    end_ns=uint64,
    attributes=st.dictionaries(
        st.sampled_from([*ATTRIBUTES]), st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1)
    ),
    events=st.lists(st.tuples(st.sampled_from([*EVENTS]), uint64), max_size=5),
    error=st.sampled_from(["", "USER_BUSY"]),
)


@given(st.lists(some_spans, max_size=5))
def test_each_span_arrives_as_it_was(written):
    resource = {"service.name": "caller", "service.instance.id": "n1"}
    received = read(Encoder(resource)(written))
    assert len(received) == len(written)
    for one, span in zip(received, written, strict=True):
        assert (one.name, one.kind) == (span.name, KINDS[SPANS[span.name].kind])
        assert one.trace_id == span.trace_id.hex()
        assert (one.span_id, one.parent_id) == (span.span_id.hex(), span.parent_id.hex())
        assert (one.start_ns, one.end_ns) == (span.start_ns, span.end_ns)
        assert one.attributes == span.attributes
        assert one.events == span.events
        assert one.error == span.error
        assert one.resource == resource


def test_the_span_of_a_call_is_small():
    """Beside it 4,096 may wait."""
    of_call = dict.fromkeys(SPANS[spans.CALL].attributes, "x" * 24)
    span = TraceSpan(
        spans.CALL, b"t" * 16, b"s" * 8, b"p" * 8, 1, 2, of_call, [(e, 1) for e in EVENTS]
    )
    assert len(Encoder({})([span])) < 512
