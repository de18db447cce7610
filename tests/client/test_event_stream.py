"""Server-Sent Events as WHATWG HTML, 9.2.6 has them, however their bytes are split."""

import pytest
from caller_client.event_stream import EventParser, EventTooLongError, ServerEvent
from hypothesis import example, given
from hypothesis import strategies as st


def read(*parts, **options):
    parser = EventParser(**options)
    return [event for part in parts for event in parser.feed(part)]


def said(data, kind="message", event_id=""):
    return ServerEvent(kind, data, event_id)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        # The examples of the specification.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [said("YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
            b"data:  third event\n\n",
            [said("first event", event_id="1"), said("second event"), said(" third event")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [said(""), said("\n")]),
        (b"data:test\n\ndata: test\n\n", [said("test"), said("test")]),
        # Line ends of each kind, and both together.
        (
            b"event: a\rdata: 1\r\rdata: 2\r\n\r\ndata: 3\n\r",
            [said("1", "a"), said("2"), said("3")],
        ),
        # A mark at the beginning, and one in the middle, which is a name that nobody knows.
        (b"\xef\xbb\xbfdata: 1\n\n", [said("1")]),
        (b"data: 1\n\xef\xbb\xbfdata: 2\n\n", [said("1")]),
        (b"\xef\xbb\xbf\ndata: \xef\xbb\xbf1\n\n", [said("\ufeff1")]),
        # An event without data is none; its id counts all the same.
        (b"event: a\n\nid: 7\n\ndata: 1\n\n", [said("1", event_id="7")]),
        (
            b"id: 7\ndata: 1\n\nid: 8\0\ndata: 2\n\n",
            [said("1", event_id="7"), said("2", event_id="7")],
        ),
        (b"data: \xff\xc3\n\n", [said("\ufffd\ufffd")]),
        (b"retry: 10\nDATA: 1\n data: 2\nother: 3\ndata: a:b\n\n", [said("a:b")]),
        # Whatever is not whole is no event.
        (b"id: 9\ndata: 1\n", []),
        (b"", []),
    ],
)
def test_a_stream_is_read_as_it_is_specified(stream, events):
    assert read(stream) == events


PIECES = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b"data",
        b"event",
        b"id",
        b":",
        b" ",
        b"x",
        b"\xef\xbb\xbf",
        b"\xc3\xa9",
    ]
)
STREAMS = st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join)


def by_the_book(stream):
    """Return the events of a stream that is there whole, step by step as the specification says."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    events, kind, data, event_id = [], "", "", ""
    for line in lines:
        if not line:
            if data:
                events.append(ServerEvent(kind or "message", data[:-1], event_id))
            kind = data = ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            event_id = value
    return events


@given(STREAMS)
@example(b"\xef\xbb\xbfdata:\xc3\xa9\r\ndata: x\r\r\nid:1\ndata:2\n\n")
def test_no_split_changes_what_is_read(stream):
    expected = by_the_book(stream)
    assert read(*(bytes([each]) for each in stream)) == expected
    for at in range(len(stream) + 1):
        assert read(stream[:at], stream[at:]) == expected


def test_another_connection_goes_on_with_the_id_of_the_one_before():
    assert read(b"data: 1\n\n", last_id="e:4") == [said("1", event_id="e:4")]


@pytest.mark.parametrize(
    "endless",
    [[b"data: x\n"] * 40, [b"data\n"] * 70, [b"x"] * 70, [b"data: " + b"x" * 70], [b"id: 1"] * 20],
)
def test_an_event_beyond_its_bound_is_read_no_further(endless):
    with pytest.raises(EventTooLongError):
        read(*endless, bytes_max=60)


def test_what_is_said_between_events_counts_for_none():
    parts = [b": a comment\n", b"data: " + b"x" * 50 + b"\n\n", b"other: x\n"] * 100
    assert len(read(*parts, bytes_max=60)) == 100
