"""Which calls are traced: as many as the ratio says, and no stranger's word makes them more."""

import pytest

from gateway.telemetry.spans import CALL, TOKEN, TraceContext
from gateway.telemetry.tracer import Tracer

CLIENT = TraceContext(b"c" * 16, b"s" * 8, is_sampled=True)
UNRECORDED = TraceContext(b"c" * 16, b"s" * 8, is_sampled=False)


def tracer(ratio, chance=b"\x00"):
    ended = []
    return (
        Tracer(
            ended.append,
            ratio=ratio,
            clock_ns=iter(range(100)).__next__,
            unix_ns=lambda: 1_000_000,
            new_id=lambda n: chance * n if n == 7 else b"\x07" * n,
        ),
        ended,
    )


@pytest.mark.parametrize(
    ("ratio", "chance", "is_traced"),
    [
        (1.0, b"\xff", True),
        (0.0, b"\x00", False),
        (0.5, b"\x7f", True),
        (0.5, b"\x80", False),
    ],
)
@pytest.mark.parametrize("given", [(), (CLIENT.traceparent(),), ("nonsense",)])
def test_the_ratio_decides_whatever_the_client_says(ratio, chance, is_traced, given):
    assert (tracer(ratio, chance)[0].request(given, TOKEN) is not None) is is_traced


def test_a_client_that_does_not_record_is_not_traced():
    assert tracer(1.0)[0].request((UNRECORDED.traceparent(),), TOKEN) is None


def test_the_trace_of_the_client_goes_on():
    traced, ended = tracer(1.0)
    request = traced.request((CLIENT.traceparent(),), TOKEN)
    traceparent = request.issued("US")
    request.answered("/v1/call-tokens", 201)
    (span,) = ended
    assert (span.trace_id, span.parent_id, span.error) == (b"c" * 16, b"s" * 8, "")
    assert span.attributes == {
        "caller.country": "US",
        "http.request.method": "POST",
        "http.route": "/v1/call-tokens",
        "http.response.status_code": 201,
    }
    traced.call(traceparent, 0).refused("gateway_full", 5)
    call = ended[-1]
    assert (call.name, call.trace_id, call.parent_id) == (CALL, b"c" * 16, span.span_id)


@pytest.mark.parametrize("given", [(), ("nonsense",), (CLIENT.traceparent(),) * 2])
def test_without_a_trace_of_the_client_one_is_begun(given):
    traced, ended = tracer(1.0)
    request = traced.request(given, TOKEN)
    request.refused("insufficient_credit")
    request.answered("/v1/call-tokens", 402)
    (span,) = ended
    assert (span.trace_id, span.parent_id) == (b"\x07" * 16, b"")
    assert span.attributes["caller.refusal"] == "insufficient_credit"
    # The client's fault and not ours.
    assert span.error == ""


def test_a_request_that_is_about_no_call_leaves_no_span():
    traced, ended = tracer(1.0)
    traced.request((), TOKEN).answered("/v1/call-tokens", 401)
    assert ended == []


def test_a_failure_of_ours_is_an_error():
    traced, ended = tracer(1.0)
    request = traced.request((), TOKEN)
    request.issued("US")
    request.answered("/v1/call-tokens", 503)
    assert ended[0].error == "503"


@pytest.mark.parametrize("traceparent", ["", "nonsense", UNRECORDED.traceparent()])
def test_the_node_does_as_the_token_says(traceparent):
    assert tracer(1.0)[0].call(traceparent, 0) is None


def test_ids_are_by_chance_of_their_own():
    """Half of many, within six deviations: the ids of the client decide nothing."""
    ended = []
    real = Tracer(ended.append, ratio=0.5)
    given = (CLIENT.traceparent(),)
    traced = sum(real.request(given, TOKEN) is not None for _ in range(10_000))
    assert abs(traced - 5_000) < 300


def test_what_is_refused_after_the_answer_changes_nothing_any_more():
    traced, ended = tracer(1.0)
    request = traced.request((), TOKEN)
    request.issued("US")
    request.answered("/v1/call-tokens", 201)
    request.refused("gateway_full")
    assert "caller.refusal" not in ended[0].attributes
    call = traced.call(TraceContext(b"c" * 16, b"s" * 8, is_sampled=True).traceparent(), 0)
    call.refused("gateway_full", 5)
    call.refused("bad_origin", 6)
    assert ended[-1].attributes == {"caller.refusal": "gateway_full"}
