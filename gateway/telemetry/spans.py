"""Defines the spans of a call's trace, and every attribute that one may have.

`SPANS`, `EVENTS` and `ATTRIBUTES` are all there is: a trace reveals nobody's number, name or
address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from gateway.telemetry.trace_context import SPAN_ID_BYTES

Value = str | int


class Kind(Enum):
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

    kind: Kind
    process: str
    meaning: str
    attributes: tuple[str, ...] = ()


SPANS: Final[Mapping[str, SpanType]] = {
    TOKEN: SpanType(
        Kind.SERVER,
        "web",
        "a token is asked for, until the answer's head",
        attributes=_OF_REQUEST,
    ),
    VISITOR_TOKEN: SpanType(
        Kind.SERVER,
        "web",
        "the same of a visitor of a button",
        attributes=_OF_REQUEST,
    ),
    CALL: SpanType(
        Kind.SERVER,
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
    ADMISSION: SpanType(Kind.INTERNAL, "media", "the token is redeemed, limits are looked at"),
    HOLD: SpanType(Kind.INTERNAL, "media", "the first credit is put on hold"),
    DIAL: SpanType(
        Kind.CLIENT,
        "media",
        "the order to the carrier, until it has an id there",
        attributes=("caller.cause",),
    ),
    RING: SpanType(Kind.INTERNAL, "media", "the phone rings"),
    TALK: SpanType(Kind.INTERNAL, "media", "from the first proof of the answer to that of the end"),
    HANG_UP: SpanType(
        Kind.CLIENT, "media", "the order to end it, until the carrier says that it is over"
    ),
    SETTLE: SpanType(Kind.INTERNAL, "media", "the price is posted, with the record for the books"),
}
"""Name -> what the span is. All after `caller.call` are its children; it is one of the token's."""

EVENTS: Final[Mapping[str, str]] = {
    "carrier.accepted": "the carrier has the call: its answer, or whatever names it first",
    "carrier.ringing": "it says that the phone rings",
    "carrier.answered": "it says that the phone was answered",
    "carrier.media": "its media stream has begun",
    "carrier.ended": "it says that its leg is over",
}
"""Events of `caller.call`, each at its first occurrence, by a callback, a poll or a stream."""


@dataclass(slots=True)
class Span:
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
        emit: Callable[[Span], None],
    ) -> None:
        """Take the offset of monotonic times, a source of ids, and what receives ended spans."""
        self.trace_id = trace_id
        self.offset_ns = offset_ns
        self._new_id = new_id
        self._emit = emit

    def begin(self, name: str, parent_id: bytes, at_ns: int) -> Span:
        """Begin a span at a monotonic time."""
        span_id = self._new_id(SPAN_ID_BYTES)
        return Span(name, self.trace_id, span_id, parent_id, at_ns + self.offset_ns)

    def end(self, span: Span, at_ns: int, *, error: str = "") -> None:
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
