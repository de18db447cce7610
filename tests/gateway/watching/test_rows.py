"""What travels: it comes as it went, and anything else is a ValueError."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.watching.board import Board
from gateway.watching.rows import (
    BATCH_BYTES_MAX,
    ENCODER,
    LIVE,
    ROWS_MAX,
    TALKING,
    WARNINGS_MAX,
    Batch,
    CallRow,
    decode,
    encode,
)
from gateway.watching.totals import LiveSums
from tests.gateway.watching.played import AT, SOUND, batch_of, ended_of, plain, row_of, warned_of

WHOLE = batch_of(row_of(mos=4.2, tags=("silence",)), ended_of("c2"), sounds={"c1": SOUND})


def as_said(**changes):
    """Return a batch with one row, of which some fields are whatever the test says."""
    row = plain(row_of()) | changes
    return msgspec.json.encode({"node": "n1", "calls": [row]})


def is_refused(text):
    try:
        decode(text)
    except ValueError as error:
        # What it says is for a log: nothing of the text may be in it.
        return "+1500" not in str(error)
    return False


def test_a_batch_comes_as_it_went():
    batch = batch_of(*WHOLE.calls, sounds=WHOLE.sounds, warnings=[warned_of()])
    found = decode(encode(batch))
    assert (tuple(found.calls), found.sounds) == (batch.calls, batch.sounds)
    assert list(found.warnings) == batch.warnings
    assert not decode(encode(Batch(node=""))).calls


def test_states_that_talk_are_live_and_those_that_are_over_are_not():
    assert TALKING < LIVE
    assert not LIVE & {"ended", "lost"}
    assert {"ended", "lost", *LIVE} == set(
        msgspec.json.schema(CallRow)["$defs"]["CallRow"]["properties"]["state"]["enum"]
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"node":1}',
        b'{"node":"n1","calls":[{}]}',
        b'{"node":"\xff"}',
        b'{"node":"\xed\xa0\x80"}',
        b'{"node":"\\ud800"}',
        b'{"node":"n1","x":' + b"[" * 100_000,
        b'{"node":"n1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"node":"n1","x":' + b'{"a":' * 100_000,
        b'{"node":"n1"}' + b" " * BATCH_BYTES_MAX,
        as_said(state="asleep"),
        as_said(tags=["loud"]),
        as_said(created_at="today"),
        as_said(created_at=None),
        as_said(cost_micros=1.5),
        as_said(cost_micros=True),
    ],
)
def test_what_is_no_batch_is_refused_without_a_word_of_it(text):
    assert is_refused(text)


def test_a_batch_of_more_than_may_be_is_refused():
    rows = [row_of(f"c{n}") for n in range(ROWS_MAX + 1)]
    assert len(decode(encode(batch_of(*rows[1:]))).calls) == ROWS_MAX
    assert is_refused(encode(batch_of(*rows)))
    lines = [warned_of()] * (WARNINGS_MAX + 1)
    assert len(decode(encode(batch_of(warnings=lines[1:]))).warnings) == WARNINGS_MAX
    assert is_refused(encode(batch_of(warnings=lines)))


@pytest.mark.parametrize("name", ["created_at", "ringing_at", "answered_at", "ended_at"])
def test_a_time_without_its_zone_is_no_time(name):
    """The board would compare it with one that has a zone, and fail."""
    assert is_refused(as_said(**{name: "2026-11-28T12:00:00"}))


def test_the_time_of_a_warning_has_a_zone():
    line = plain(warned_of()) | {"at": "2026-11-28T12:00:00"}
    assert is_refused(msgspec.json.encode({"node": "n1", "warnings": [line]}))


NUMBERS = [
    "seconds",
    "cost_micros",
    "per_minute_micros",
    "cause",
    "pdd_ms",
    "mos",
    "rtt_ms",
    "jitter_ms",
    "loss_percent",
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", ["10000000000000000000", "-10000000000000000000", "1" + "0" * 400, "1e308", "1e999"]
)
def test_a_number_that_no_call_has_is_refused(name, value):
    """Rounded or summed it would fail: on the board, or in the text for everybody."""
    text = as_said(**{name: 0.125}).replace(b"0.125", value.encode())
    assert value.encode() in text
    assert is_refused(text)


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    ANY, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=9
)
TIMES = st.datetimes().map(lambda at: at.isoformat()) | st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-11-28T12:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999-23:59",
    ]
)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_nothing_but_a_value_error_is_raised(text):
    try:
        decode(text)
    except ValueError:
        pass


@given(st.data())
def test_a_batch_with_bytes_turned_is_refused_or_is_a_batch(data):
    text = bytearray(encode(WHOLE))
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        batch = decode(bytes(text[: data.draw(st.integers(0, len(text)))]))
    except ValueError:
        return
    assert isinstance(batch, Batch)


@given(
    st.dictionaries(st.sampled_from(CallRow.__struct_fields__), JSON | TIMES, max_size=4),
    st.fixed_dictionaries({}, optional={"c1": st.lists(st.integers(), min_size=3, max_size=3)}),
)
def test_what_is_taken_can_be_shown_summed_and_sent(changes, sounds):
    """Whoever may write to the store may write anything, but never stop what others watch."""
    row = plain(row_of()) | changes
    try:
        text = msgspec.json.encode({"node": row["node"], "calls": [row], "sounds": sounds})
        batch = decode(text)
    except (ValueError, OverflowError):
        return
    board, sums = Board(), LiveSums()
    for _ in range(2):
        board.apply(batch, 0, AT)
    board.sweep(10**10)
    rows = board.rows(None)
    sums.add(rows, AT)
    ENCODER.encode([rows, board.totals(None, 0, AT), board.samples("c1", 0)[0]])
