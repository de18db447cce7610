"""Folding outbox entries: blind to order and repetition, deaf to nonsense."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import LIMIT
from billing.outbox import BookedCall, CallChange, fold
from billing.ports import OutboxEntry
from tests.billing.outbox_entries import closed, closing, entry, opened, opening, ticked

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


GOOD_OPENING, GOOD_CLOSING = ENTRIES[0].fields, ENTRIES[3].fields


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
CLOSED = BookedCall("alice", 90, 3, is_opened=True, is_closed=True)
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
            BookedCall("alice", 90, 3, is_closed=True),
            CallChange(opened=opening("c1"), held_micros=100),
            CLOSED,
        ),
    ],
)
def test_a_booked_call_only_moves_forward(before, change, after):
    assert before.advanced_by(change) == after
