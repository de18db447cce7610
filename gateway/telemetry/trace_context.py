"""Reads and writes `traceparent`, which continues a trace in another process.

W3C Trace Context, Recommendation of 23 November 2021, section 3.2. `tracestate` is not read: no
outgoing request would have to carry it, and it is a stranger's text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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


def parse(values: Sequence[str]) -> TraceContext | None:
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
