"""A call's record before the book has it: whole, only its account's, and only once it has ended."""

import pytest

from billing.cdr import CallRecord
from billing.unbooked import ended_in
from tests.billing.outbox_entries import closed, closing, entry, opened, opening, ticked

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
