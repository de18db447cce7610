"""Numbered texts of one audience: who was where goes on there, or is told to begin anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.watching import channel as channel_module
from gateway.watching.channel import COMMENT, TEXTS_MAX, Audience, Channel, end_event
from tests.gateway.watching.played import events_in


def filled(count):
    channel = Channel("e1")
    for n in range(count):
        channel.add("delta", {"n": n})
    return channel


def numbers(texts):
    return [data["n"] for _, _, data in events_in(b"".join(texts))]


@pytest.mark.parametrize(
    ("audience", "kind"),
    [
        (Audience(None), "all"),
        (Audience("alice"), "account"),
        (Audience("alice", "c1"), "call"),
        (Audience(None, "c1"), "call"),
    ],
)
def test_an_audience_has_a_kind(audience, kind):
    assert audience.kind == kind


def test_an_event_is_one_of_the_stream_with_its_number():
    channel = filled(2)
    assert channel.after(1) == [b'id: e1:1\nevent: delta\ndata: {"n":1}\n\n']


def test_no_content_breaks_out_of_its_line():
    channel = Channel("e1")
    channel.add("delta", {"x": "a\n\nevent: end\rdata: \u2028"})
    (text,) = channel.after(0)
    assert (text.count(b"\n"), text.count(b"\r")) == (4, 0)


def test_whoever_is_where_goes_on_there():
    channel = filled(3)
    assert [numbers(channel.after(place)) for place in range(4)] == [[0, 1, 2], [1, 2], [2], []]
    assert channel.after(4) is None, "a place that nobody has been given"


@given(st.integers(0, 3 * TEXTS_MAX), st.integers(-3, 3 * TEXTS_MAX + 3))
def test_what_is_kept_is_the_end_and_the_rest_is_gone(count, place):
    channel = filled(count)
    texts = channel.after(place)
    if max(0, count - TEXTS_MAX) <= place <= count:
        assert numbers(texts) == list(range(place, count))
    else:
        assert texts is None
    found = channel.place_of(f"e1:{place - 1}")
    assert found == (place if texts is not None and place > 0 else None)


def test_few_bytes_are_kept_however_long_the_texts(monkeypatch):
    monkeypatch.setattr(channel_module, "BYTES_MAX", 1_000)
    channel = Channel("e1")
    for _ in range(9):
        channel.add("delta", {"x": "x" * 200})
    assert sum(map(len, channel._texts)) == channel._bytes <= 1_000
    assert channel.after(0) is None
    assert len(channel.after(channel.next - 3)) == 3
    channel.add("delta", {"x": "x" * 2_000})
    assert channel.after(channel.next - 1) is None, "longer than all that is kept"
    assert channel._bytes == 0
    channel.add("delta", {})
    assert len(channel.after(channel.next - 1)) == 1


@pytest.mark.parametrize(
    "last",
    [
        "",
        ":",
        "e1",
        "e1:",
        ":0",
        "e2:0",
        "E1:0",
        "e1:-1",
        "e1:+1",
        "e1:3",
        "e1: 0",
        "e1:0 ",
        "e1:0x1",
        "e1:1_0",
        "e1:\u0661",
        "e1:\u00b2",
        "e1:1.0",
        "e1:0:0",
        "e1:" + "9" * 5_000,
        "e1:999999999999999",
        "e1:0\n",
        "\x00:0",
    ],
)
def test_what_is_no_place_of_this_channel_is_none(last):
    assert filled(3).place_of(last) is None


@given(st.text(max_size=20) | st.from_regex(r"e1:\d{1,3}", fullmatch=True))
def test_whatever_somebody_says_was_last_is_a_place_or_none(last):
    place = filled(3).place_of(last)
    assert place in {None, 1, 2, 3}


def test_a_comment_is_no_event_and_has_a_number_all_the_same():
    channel = filled(1)
    channel.add_comment()
    channel.add("delta", {"n": 2})
    assert channel.after(1)[0] == COMMENT
    assert channel.after(channel.place_of("e1:0")) == channel.after(1)
    assert channel.place_of("e1:2") == 3


def test_a_snapshot_stands_for_all_texts_until_the_next():
    channel = filled(2)
    assert channel.snapshot == b""
    text = channel.keep_snapshot({"calls": []})
    assert channel.snapshot == text
    ((event_id, kind, _),) = events_in(text)
    assert (kind, channel.after(channel.place_of(event_id))) == ("snapshot", [])
    channel.add("delta", {"n": 2})
    assert channel.snapshot == b""
    assert numbers(channel.after(channel.place_of(event_id))) == [2]


def test_the_end_says_why_and_has_no_number():
    assert end_event("unauthorized") == b'event: end\ndata: {"code":"unauthorized"}\n\n'
