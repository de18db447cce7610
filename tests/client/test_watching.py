"""What a stream is asked with, what its events are, and when it is asked for again."""

import pytest
from caller_client.errors import ProblemError, UnexpectedAnswerError, UnreachableError
from caller_client.exchange import WAIT_FIRST_S, Wish
from caller_client.shapes import FeedDelta, FeedEnd, Problem
from caller_client.watching import RETRIES, STEADY_S, Watch

WISH = Wish("GET", "/v1/live-feed", events={"delta": FeedDelta, "end": FeedEnd})
DELTA = b'id: e1:4\nevent: delta\ndata: {"at": "2026-11-28T12:00:00Z", "gone": ["c1"]}\n\n'
END = b'event: end\ndata: {"code": "unauthorized"}\n\n'
CUT = UnreachableError("cut")


def opened(*parts, retries=2):
    watch = Watch(WISH, retries)
    watch.connect()
    return watch, [each for part in parts for each in watch.take(part)]


def problem(status, *, retry, wait=None):
    body = Problem(type="t", title="T.", status=status, code="x", action="A.", retry=retry)
    return ProblemError(body, wait)


def test_events_are_typed_and_those_of_another_name_or_field_are_passed_over():
    newer = b'id: e1:5\nevent: newer\ndata: {"x": 1}\n\n'
    watch, (delta,) = opened(DELTA.replace(b'"gone"', b'"later": 1, "gone"'), newer, b":\n\n")
    assert (delta.gone, delta.nodes, delta.calls) == (["c1"], None, [])
    assert watch.headers["Last-Event-ID"] == "e1:5"


def test_it_goes_on_behind_the_last_event_that_came_whole():
    watch, _ = opened(DELTA, DELTA.replace(b"e1:4", b"e1:5")[:-1])
    assert watch.headers == {"Accept": "text/event-stream", "Last-Event-ID": "e1:4"}
    watch.connect()
    assert list(watch.take(DELTA.replace(b"id: e1:4\n", b""))) != []
    assert watch.headers["Last-Event-ID"] == "e1:4"
    assert "Last-Event-ID" not in opened()[0].headers


@pytest.mark.parametrize("event_id", [b"\xc3\xa9", b"a\x07b", b"x" * 300])
def test_an_id_that_no_request_can_carry_is_not_gone_on_from(event_id):
    watch, _ = opened(DELTA, DELTA.replace(b"e1:4", event_id))
    assert "Last-Event-ID" not in watch.headers


@pytest.mark.parametrize(
    "event",
    [b"event: delta\ndata: {}\n\n", b"event: end\ndata: x\n\n", b"event: delta\ndata: [[[\n\n"],
)
def test_an_event_that_is_of_no_gateway_is_told_as_such(event):
    with pytest.raises(UnexpectedAnswerError):
        opened(event)


@pytest.mark.parametrize(
    ("headers", "is_one"),
    [
        ({"content-type": "text/event-stream; charset=utf-8"}, True),
        ({"content-type": "Text/Event-Stream", "content-encoding": "identity"}, True),
        ({"content-type": "text/event-stream", "content-encoding": "gzip"}, False),
        ({"content-type": "text/html"}, False),
        ({}, False),
    ],
)
def test_only_a_stream_is_read_as_one(headers, is_one):
    watch, _ = opened()
    if is_one:
        watch.check(200, headers)
    else:
        with pytest.raises(UnexpectedAnswerError, match="200"):
            watch.check(200, headers)


def test_waits_grow_are_spread_and_come_to_an_end():
    watch, _ = opened(DELTA)
    waits = [watch.wait_after(CUT, 0, chance=0)]
    for chance in (0, 1, *[0] * (RETRIES - 3)):
        watch.connect()
        waits.append(watch.wait_after(CUT, 0, chance))
    assert waits[:3] == [WAIT_FIRST_S, 2 * WAIT_FIRST_S, 4 * WAIT_FIRST_S * 1.25]
    assert waits[-1] == 30
    with pytest.raises(UnreachableError):
        watch.wait_after(CUT, 0, chance=0)


def test_what_was_never_open_is_given_up_as_soon_as_any_other_request():
    watch, _ = opened(b":\n\n", retries=1)
    assert watch.wait_after(CUT, STEADY_S, chance=0) == WAIT_FIRST_S
    with pytest.raises(UnreachableError):
        watch.wait_after(CUT, STEADY_S, chance=0)


def test_only_a_connection_that_lasted_makes_up_for_those_that_failed():
    watch, _ = opened(DELTA)
    for _ in range(RETRIES):
        watch.wait_after(CUT, STEADY_S - 1, chance=0)
    assert watch.wait_after(CUT, STEADY_S, chance=0) == WAIT_FIRST_S


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (problem(503, retry=True, wait=5), 5),
        (problem(429, retry=True, wait=9), 9),
        (UnexpectedAnswerError(502), WAIT_FIRST_S),
        (problem(429, retry=True, wait=31), None),
        (problem(401, retry=False), None),
        (problem(403, retry=False), None),
        (UnexpectedAnswerError(200), None),
    ],
)
def test_it_is_asked_for_again_where_that_may_help(error, wait):
    watch, _ = opened(DELTA)
    if wait is None:
        with pytest.raises(type(error)) as raised:
            watch.wait_after(error, STEADY_S, chance=0)
        assert raised.value is error
    else:
        assert watch.wait_after(error, STEADY_S, chance=0) == wait


def test_a_stream_that_the_gateway_ends_is_asked_for_once_more_at_once_and_then_as_others():
    watch, events = opened(DELTA + END + DELTA)
    assert (len(events), watch.is_over) == (1, True)
    assert watch.wait_after(CUT, 0, chance=1) == 0
    watch.connect()
    assert not watch.is_over
    assert list(watch.take(END)) == []
    assert watch.wait_after(CUT, 0, chance=0) == 2 * WAIT_FIRST_S
