"""Parses and formats the opening hours of a day as people type them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.embed.hours import MINUTES_A_DAY, Span

CHARS_MAX: Final = 100
_MINUTE: Final = r"([0-9]{1,2})(?:[:.]([0-9]{2}))?"
_SPAN: Final = re.compile(rf"{_MINUTE}\s*[-\u2013\u2014]\s*{_MINUTE}", re.ASCII)


def parse_day(text: str) -> tuple[Span, ...] | None:
    """Return the spans of a day, none for a closed one; None if the text is invalid.

    "9-12, 13:00-17:30" are two spans, "0-24" is all day.
    """
    if len(text) > CHARS_MAX:
        return None
    parts = [part.strip() for part in re.split(r"[,;]", text)]
    spans = [_parse_span(part) for part in parts if part]
    known = tuple(span for span in spans if span is not None)
    ends = (0, *(span.end for span in known))
    is_in_order = all(end <= span.start for end, span in zip(ends, known, strict=False))
    return known if is_in_order and len(known) == len(spans) else None


def write_day(spans: Sequence[Span]) -> str:
    """Return the hours of a day as people type them; empty for a closed one."""
    return ", ".join(f"{_write(span.start)}-{_write(span.end)}" for span in spans)


def _parse_span(text: str) -> Span | None:
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    start, end = _minute(found[1], found[2]), _minute(found[3], found[4])
    return Span(start, end) if start < end <= MINUTES_A_DAY else None


def _minute(hours: str, minutes: str | None) -> int:
    past = int(minutes or 0)
    # Beyond a day, so that it is invalid.
    return int(hours) * 60 + past if past < 60 else MINUTES_A_DAY + 1


def _write(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
