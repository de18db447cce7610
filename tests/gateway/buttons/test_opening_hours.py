"""Opening hours as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buttons.opening_hours import CHARS_MAX, parse_day, write_day
from gateway.embed.hours import MINUTES_A_DAY, Span


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", ()),
        (" , ", ()),
        ("9-17", (Span(540, 1_020),)),
        ("09:00 – 12.30; 13:00—24", (Span(540, 750), Span(780, 1_440))),
        ("0-24", (Span(0, 1_440),)),
        ("9-12,12-13", (Span(540, 720), Span(720, 780))),
        *((text, None) for text in ("9", "9-9", "17-9", "9-25", "9:60-10", "9-12,11-13", "x")),
        *((text, None) for text in ("9-12,x", "13-14,9-12", "٩-١٧", "9-17" + " " * CHARS_MAX)),
    ],
)
def test_the_hours_of_a_day_are_read(text, spans):
    assert parse_day(text) == spans


@given(st.lists(st.integers(0, MINUTES_A_DAY), unique=True, max_size=8).map(sorted))
def test_what_is_written_is_read_again(moments):
    spans = tuple(map(Span, moments[::2], moments[1::2]))
    assert parse_day(write_day(spans)) == spans


@given(st.text(max_size=40))
def test_every_text_is_hours_or_none(text):
    spans = parse_day(text)
    assert spans is None or all(0 <= span.start < span.end <= MINUTES_A_DAY for span in spans)
