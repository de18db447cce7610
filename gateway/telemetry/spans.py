"""Defines the spans of a call's trace, every attribute that one may have, and `traceparent`.

`SPANS`, `EVENTS` and `ATTRIBUTES` list everything: a trace reveals no one's number, name or
address. `traceparent` continues a trace in another process: W3C Trace Context, Recommendation of
23 November 2021, section 3.2. `tracestate` is not read: no outgoing request would have to carry it,
and it is a stranger's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
_SAMPLED: Final = 1
# Only lower case (3.2.2.3). What follows the flags is for versions after 00 (3.2.4).
_TRACEPARENT: Final = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]{0,200})?"
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace, as other processes know it."""

    trace_id: bytes
    span_id: bytes
    is_sampled: bool

    def traceparent(self) -> str:
        """Return it as a header value, of version 00."""
        return f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{int(self.is_sampled):02x}"


def parse_traceparent(values: Sequence[str]) -> TraceContext | None:
    """Parse the `traceparent` headers of a request; None for none, several or invalid ones.

    A new trace is then begun (4.3).
    """
    read = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if read is None:
        return None
    version, trace_id, span_id, flags, more = read.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    context = TraceContext(
        bytes.fromhex(trace_id), bytes.fromhex(span_id), bool(int(flags, 16) & _SAMPLED)
    )
    # All zeros are not a valid id (3.2.2.3, 3.2.2.4).
    return context if any(context.trace_id) and any(context.span_id) else None


Value = str | int


class SpanKind(Enum):
    """Kinds of spans, as OpenTelemetry defines them."""

    INTERNAL = auto()
    SERVER = auto()
    CLIENT = auto()


TOKEN: Final = "POST /v1/call-tokens"  # noqa: S105
VISITOR_TOKEN: Final = "POST /v1/embed/{key}/call-tokens"  # noqa: S105
CALL: Final = "caller.call"
ADMISSION: Final = "caller.admission"
HOLD: Final = "caller.hold"
DIAL: Final = "caller.dial"
RING: Final = "caller.ring"
TALK: Final = "caller.talk"
HANG_UP: Final = "caller.hang_up"
SETTLE: Final = "caller.settle"

_OF_REQUEST: Final = (
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "caller.country",
    "caller.refusal",
)

ATTRIBUTES: Final[Mapping[str, str]] = {
    "http.request.method": "always `POST`",
    "http.route": "the route, never the address that was asked for",
    "http.response.status_code": "the answer's status",
    "caller.call_id": "the call's id, as in the log and the API",
    "caller.country": "country of the number, ISO 3166; the number is in no trace",
    "caller.refusal": "why it was refused: a code of the [API](api.md#codes)",
    "caller.cause": "the cause of the end by Q.850, such as `USER_BUSY`",
    "caller.ended_by": "`caller`, `callee`, `carrier`, `gateway` or `operator`",
}
"""Attribute -> what it says."""


@dataclass(frozen=True, slots=True)
class SpanType:
    """One kind of span."""

    kind: SpanKind
    process: str
    meaning: str
    attributes: tuple[str, ...] = ()


SPANS: Final[Mapping[str, SpanType]] = {
    TOKEN: SpanType(
        SpanKind.SERVER,
        "web",
        "a token is asked for, until the answer's head",
        attributes=_OF_REQUEST,
    ),
    VISITOR_TOKEN: SpanType(
        SpanKind.SERVER,
        "web",
        "the same of a visitor of a button",
        attributes=_OF_REQUEST,
    ),
    CALL: SpanType(
        SpanKind.SERVER,
        "media",
        "the call, from its token's redemption to its settlement",
        attributes=(
            "caller.call_id",
            "caller.country",
            "caller.refusal",
            "caller.cause",
            "caller.ended_by",
        ),
    ),
    ADMISSION: SpanType(SpanKind.INTERNAL, "media", "the token is redeemed, limits are looked at"),
    HOLD: SpanType(SpanKind.INTERNAL, "media", "the first credit is put on hold"),
    DIAL: SpanType(
        SpanKind.CLIENT,
        "media",
        "the order to the carrier, until it has an id there",
        attributes=("caller.cause",),
    ),
    RING: SpanType(SpanKind.INTERNAL, "media", "the phone rings"),
    TALK: SpanType(
        SpanKind.INTERNAL, "media", "from the first proof of the answer to that of the end"
    ),
    HANG_UP: SpanType(
        SpanKind.CLIENT, "media", "the order to end it, until the carrier says that it is over"
    ),
    SETTLE: SpanType(
        SpanKind.INTERNAL, "media", "the price is posted, with the record for the books"
    ),
}
"""Name -> what the span is. All after `caller.call` are its children; it is one of the token's."""

EVENTS: Final[Mapping[str, str]] = {
    "carrier.accepted": "the carrier has the call: its answer, or the first message that names it",
    "carrier.ringing": "it says that the phone rings",
    "carrier.answered": "it says that the phone was answered",
    "carrier.media": "its media stream has begun",
    "carrier.ended": "it says that its leg is over",
}
"""Events of `caller.call`, each at its first occurrence, by a callback, a poll or a stream."""


@dataclass(slots=True)
class TraceSpan:
    """A span that has begun; times are nanoseconds of Unix time."""

    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    """Empty for the root of a trace."""
    start_ns: int
    end_ns: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)
    events: list[tuple[str, int]] = field(default_factory=list)
    error: str = ""
    """Name of a cause or code of a refusal, if it failed."""


class Trace:
    """What the spans of one trace have in common within this process."""

    __slots__ = ("_emit", "_new_id", "offset_ns", "trace_id")

    def __init__(
        self,
        trace_id: bytes,
        offset_ns: int,
        new_id: Callable[[int], bytes],
        emit: Callable[[TraceSpan], None],
    ) -> None:
        """Take the offset of monotonic times, a source of ids, and what receives ended spans."""
        self.trace_id = trace_id
        self.offset_ns = offset_ns
        self._new_id = new_id
        self._emit = emit

    def begin(self, name: str, parent_id: bytes, at_ns: int) -> TraceSpan:
        """Begin a span at a monotonic time."""
        span_id = self._new_id(SPAN_ID_BYTES)
        return TraceSpan(name, self.trace_id, span_id, parent_id, at_ns + self.offset_ns)

    def end(self, span: TraceSpan, at_ns: int, *, error: str = "") -> None:
        """End a span at a monotonic time, and hand it over."""
        # A report about an earlier moment must not end a span before its beginning.
        span.end_ns = max(span.start_ns, at_ns + self.offset_ns)
        span.error = span.error or error
        # The table lists what may be exported: an attribute that is not in it is a bug here.
        assert span.attributes.keys() <= {*SPANS[span.name].attributes}
        self._emit(span)


def markdown() -> str:
    """Return the tables of spans, events and attributes."""
    spans = [
        f"| `{name}` | {span.kind.name.lower()} | {span.process} | {span.meaning} |"
        f" {', '.join(f'`{each}`' for each in span.attributes)} |"
        for name, span in SPANS.items()
    ]
    events = [f"| `{name}` | {meaning} |" for name, meaning in EVENTS.items()]
    attributes = [f"| `{name}` | {meaning} |" for name, meaning in ATTRIBUTES.items()]
    return "\n".join(
        [
            "| span | kind | process | from when to when | attributes |",
            "|---|---|---|---|---|",
            *spans,
            "",
            "| attribute | says |",
            "|---|---|",
            *attributes,
            "",
            "| event of `caller.call` | when it came first |",
            "|---|---|",
            *events,
            "",
        ]
    )
