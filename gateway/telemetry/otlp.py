"""Encodes spans as an OTLP request, in binary protobuf.

Imported only if a collector is set, because `opentelemetry-proto` is an optional extra. OTLP 1.5:
opentelemetry-proto, docs/specification.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from gateway.telemetry.spans import SPANS, SpanKind, TraceSpan, Value

_KINDS = {
    SpanKind.INTERNAL: trace_pb2.Span.SPAN_KIND_INTERNAL,
    SpanKind.SERVER: trace_pb2.Span.SPAN_KIND_SERVER,
    SpanKind.CLIENT: trace_pb2.Span.SPAN_KIND_CLIENT,
}
_SCOPE = InstrumentationScope(name="caller")


class Encoder:
    """Encodes the spans of one process, which `resource` describes."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        self._resource = Resource(attributes=_attributes(resource))

    def __call__(self, spans: Sequence[TraceSpan]) -> bytes:
        """Return the body of a request for `/v1/traces`."""
        scope = trace_pb2.ScopeSpans(scope=_SCOPE, spans=[_span(span) for span in spans])
        whole = trace_pb2.ResourceSpans(resource=self._resource, scope_spans=[scope])
        request = ExportTraceServiceRequest(resource_spans=[whole])
        body: bytes = request.SerializeToString()
        return body


def _span(span: TraceSpan) -> trace_pb2.Span:
    status = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message=span.error)
    return trace_pb2.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        name=span.name,
        kind=_KINDS[SPANS[span.name].kind],
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=_attributes(span.attributes),
        events=[
            trace_pb2.Span.Event(name=name, time_unix_nano=at_ns) for name, at_ns in span.events
        ],
        # Left out on success: the protocol leaves that judgement to the reader (Status.code).
        status=status if span.error else None,
    )


def _attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    return [
        KeyValue(
            key=key,
            value=AnyValue(string_value=value)
            if isinstance(value, str)
            else AnyValue(int_value=value),
        )
        for key, value in values.items()
    ]
