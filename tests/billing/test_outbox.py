"""Folding outbox entries: blind to order and repetition, deaf to nonsense."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, structs

from billing.cdr import CallRecord
from billing.money import LIMIT
from billing.outbox import BookedCall, CallChange, ended_in, fold
from billing.ports import OutboxEntry
from tests.billing.outbox_entries import START, closed, closing, entry, opened, opening, ticked

ENTRIES = [
    opened("c1", 100),
    ticked(("c1", 150, 2), ("c2", 70, 1)),
    ticked(("c1", 180, 5)),
    closed("c1", 90, 3, written_off=7),
]


def test_a_call_is_folded_from_all_its_entries():
    batch = fold(ENTRIES)
    change = batch.changes["c1"]
    assert change.account_id == "alice"
    assert change.opened == opening("c1")
    assert (change.held_micros, change.seconds) == (180, 5)
    assert change.ending.detail == closing(3)
    assert (change.ending.charged_micros, change.ending.written_off_micros) == (90, 7)
    assert batch.changes["c2"] == CallChange(held_micros=70, seconds=1)
    assert batch.rejected == []


def test_order_and_repetition_do_not_matter():
    expected = fold(ENTRIES).changes
    for order in itertools.permutations(ENTRIES):
        assert fold([*order, *order[:2]]).changes == expected


def test_the_first_of_two_ends_stands():
    assert fold([closed("c1", 90), closed("c1", 40)]).changes["c1"].ending.charged_micros == 90


GOOD_OPENING, GOOD_CLOSING = dict(ENTRIES[0].fields), dict(ENTRIES[3].fields)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("X", GOOD_OPENING),
        ("", {}),
        ("O", {}),
        ("O", GOOD_OPENING | {"c": b""}),
        ("O", GOOD_OPENING | {"c": b"c" * 256}),
        ("O", GOOD_OPENING | {"c": b"\xff"}),
        ("O", GOOD_OPENING | {"a": b"a\0b"}),
        ("O", GOOD_OPENING | {"s": b"-1"}),
        ("O", GOOD_OPENING | {"s": b"1.5"}),
        ("O", GOOD_OPENING | {"s": b"%d" % (LIMIT + 1)}),
        ("O", GOOD_OPENING | {"s": b"9" * 5000}),
        ("O", GOOD_OPENING | {"m": b"{}"}),
        ("O", GOOD_OPENING | {"m": GOOD_OPENING["m"].replace(b"pcmu", b"\\u0000")}),
        ("O", GOOD_OPENING | {"m": GOOD_OPENING["m"].replace(b"12:00:00Z", b"12:00:00")}),
        ("T", {"d": b""}),
        ("T", {"d": b"c1"}),
        ("T", {"d": b"c1 5"}),
        ("T", {"d": b"c1 5:x"}),
        ("T", {"d": b"c1 5:1 "}),
        ("T", {"d": b"c1 5:%d" % 2**31}),
        ("C", GOOD_CLOSING | {"w": b""}),
        ("C", GOOD_CLOSING | {"m": b"not JSON"}),
        ("C", GOOD_CLOSING | {"m": GOOD_CLOSING["m"].replace(b"12:00:01Z", b"12:00:01")}),
        ("C", GOOD_CLOSING | {"m": GOOD_CLOSING["m"].replace(b'"cause":16', b'"cause":-16')}),
        ("C", GOOD_CLOSING | {"m": GOOD_CLOSING["m"].replace(b":60,", b":6000000000,")}),
    ],
)
def test_what_cannot_be_read_is_set_aside_whole(kind, fields):
    bad = entry(kind, **fields)
    batch = fold([bad, ticked(("c9", 1, 1))])
    assert batch.rejected == [bad]
    assert list(batch.changes) == ["c9"]


@given(
    st.text(max_size=2) | st.sampled_from("OTC"),
    st.dictionaries(st.sampled_from("casdwm"), st.binary(max_size=40)),
)
def test_nothing_is_lost_and_nothing_raises(kind, fields):
    bad = OutboxEntry("1-0", kind, fields)
    batch = fold([bad])
    assert batch.rejected == [bad] or batch.changes


@given(st.sampled_from(["O", "C"]), st.sampled_from("casdwm"), st.binary(max_size=60))
def test_one_bad_field_never_raises(kind, name, value):
    good = GOOD_OPENING if kind == "O" else GOOD_CLOSING
    batch = fold([OutboxEntry("1-0", kind, good | {name: value})])
    assert len(batch.rejected) + len(batch.changes) == 1


OPEN = BookedCall("alice", 100, 3, is_opened=True)
ANSWERED_AT = closing(3).answered_at
NAME = closing(3).carrier_call_id
CLOSED = BookedCall("alice", 90, 3, True, True, ANSWERED_AT, NAME)
ENDING = fold(ENTRIES).changes["c1"].ending


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (OPEN, CallChange(held_micros=99, seconds=2), OPEN),
        (OPEN, CallChange(held_micros=100, seconds=3), OPEN),
        (OPEN, CallChange(held_micros=101, seconds=3), BookedCall("alice", 101, 3, True)),
        (OPEN, CallChange(held_micros=100, seconds=4), BookedCall("alice", 100, 4, True)),
        (OPEN, CallChange(held_micros=500, seconds=9, ending=ENDING), CLOSED),
        (CLOSED, CallChange(held_micros=500, seconds=9), CLOSED),
        (CLOSED, CallChange(ending=fold([closed("c1", 1, 1)]).changes["c1"].ending), CLOSED),
        (BookedCall("alice"), CallChange(opened=opening("c1")), BookedCall("alice", 0, 0, True)),
        (
            CLOSED._replace(is_opened=False),
            CallChange(opened=opening("c1"), held_micros=100),
            CLOSED,
        ),
    ],
)
def test_a_booked_call_only_moves_forward(before, change, after):
    assert before.advanced_by(change) == after


def told(at, *totals):
    """Return a tick that the gate has written at a time."""
    return replace(ticked(*totals), entry_id=f"{round(at.timestamp() * 1000)}-0")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_confirmed_seconds_say_when_the_phone_was_answered(order):
    late = timedelta(milliseconds=300)
    ticks = [
        told(START + timedelta(seconds=2), ("c1", 150, 0)),
        told(START + timedelta(seconds=7), ("c1", 180, 2), ("c2", 9, 1)),
        told(START + timedelta(seconds=9) + late, ("c1", 200, 4)),
    ]
    changes = fold(ticks[n] for n in order).changes
    assert changes["c1"].answered_at == START + timedelta(seconds=5)
    assert changes["c2"].answered_at == START + timedelta(seconds=6)
    call = BookedCall("alice")
    for n in order:
        call = call.advanced_by(fold([ticks[n]]).changes["c1"])
    assert call.answered_at == START + timedelta(seconds=5)


def settled(seconds, **known):
    """Return the end of a call by whoever settled it, 20 s after the others."""
    values = {"answered_at": None, "ended_at": START + timedelta(seconds=20)} | known
    detail = structs.replace(closing(seconds), **values)
    fields = dict(closed("c1", 9, seconds).fields) | {"m": json.encode(detail)}
    return fold([entry("C", **fields)]).changes["c1"]


@pytest.mark.parametrize(
    ("known_s", "seconds", "answered_s"),
    [
        (None, 3, 17),
        (5, 3, 5),
        # The gate's clock is ahead of the settling node's.
        (19, 3, 17),
        (5, 0, 5),
        (None, 0, None),
    ],
)
def test_a_charged_call_says_when_it_was_answered(known_s, seconds, answered_s):
    known, answered = (
        None if s is None else START + timedelta(seconds=s) for s in (known_s, answered_s)
    )
    call = BookedCall("alice", 9, 2, is_opened=True, answered_at=known)
    assert call.advanced_by(settled(seconds)).answered_at == answered
    carriers = settled(seconds, answered_at=START)
    assert call.advanced_by(carriers).answered_at == START


def test_an_end_that_no_clock_shows_is_booked_all_the_same():
    change = settled(3, ended_at=datetime.min.replace(tzinfo=UTC))
    assert BookedCall("alice").advanced_by(change).answered_at == datetime.min.replace(tzinfo=UTC)


def test_a_tick_can_tell_the_carriers_name_of_one_call():
    named = replace(ticked(("c1", 100, 0)), fields={"d": b"c1 100:0", "n": b"CA1"})
    for order in ([named, *ENTRIES], [*ENTRIES, named]):
        change = fold(order).changes["c1"]
        assert change.carrier_call_id == "CA1"
    live = BookedCall("alice", 100, 0, is_opened=True)
    after = live.advanced_by(fold([named]).changes["c1"])
    assert after == live._replace(carrier_call_id="CA1")
    nameless = replace(ENDING, detail=structs.replace(ENDING.detail, carrier_call_id=""))
    assert after.advanced_by(CallChange(ending=nameless)).carrier_call_id == "CA1"
    of_two = replace(named, fields={"d": b"c1 100:0 c2 100:0", "n": b"CA1"})
    for broken in (of_two, replace(named, fields={"d": b"c1 100:0", "n": b""})):
        assert fold([broken]).rejected == [broken]


OTHERS = [opened("c2", 5), ticked(("c1", 150, 2), ("c2", 5, 1)), closed("c2", 5, 1)]


def test_a_call_is_known_once_its_opening_and_its_end_are_there():
    entries = [opened("c1", 100), *OTHERS, closed("c1", 90, 3, written_off=7)]
    assert ended_in(entries, "alice")["c1"] == CallRecord(
        opened=opening("c1"),
        closed=closing(3),
        cost_micros=90,
        written_off_micros=7,
        used_s=3,
    )
    assert set(ended_in(entries, "alice")) == {"c1", "c2"}


@pytest.mark.parametrize(
    "entries",
    [
        [],
        OTHERS,
        [opened("c1", 100), *OTHERS],
        [*OTHERS, closed("c1", 90)],
        [opened("c1", 100), entry("C", c=b"c1", a=b"alice", s=b"-1", m=b"{}")],
    ],
    ids=["empty", "others", "live", "no opening", "unreadable"],
)
def test_nothing_is_said_of_a_call_that_is_not_known_whole(entries):
    assert "c1" not in ended_in(entries, "alice")


def test_another_accounts_call_is_not_there():
    assert ended_in([opened("c1", 100), closed("c1", 90)], "bob") == {}
