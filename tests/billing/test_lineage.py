"""How a spend gate that is an older copy is told from one that goes on."""

import pytest

from billing.lineage import Advance, advance, rolled_back
from billing.ports import OutboxEntry, PartitionMark


def entries(*ids):
    """Return entries, each `id` or `previous id > id`."""
    for one in ids:
        previous_id, _, entry_id = one.rpartition(" > ")
        yield OutboxEntry(entry_id, "T", {}, previous_id)


@pytest.mark.parametrize(
    ("booked_id", "written", "booked_then", "fork_id"),
    [
        ("", ["0-0 > 5-0", "5-0 > 5-1"], "5-1", ""),
        ("5-1", ["5-1 > 7-0"], "7-0", ""),
        # A crash before it was trimmed, or another drainer: read again.
        ("7-0", ["5-0 > 5-1", "5-1 > 7-0", "7-0 > 9-0"], "9-0", ""),
        # Between them stood what the outbox has lost.
        ("5-1", ["8-0 > 9-0"], "9-0", ""),
        # As numbers, not as text.
        ("9-9", ["9-9 > 9-10", "9-10 > 10-0"], "10-0", ""),
        # The copy was made before 7-0 was written.
        ("7-0", ["5-1 > 9-0", "9-0 > 9-1"], "9-1", "9-0"),
        ("7-0", ["0-0 > 9-0"], "9-0", "9-0"),
        # What waited in the copy, and is booked, proves nothing; what follows it does.
        ("7-0", ["4-0 > 5-0", "5-0 > 9-0"], "9-0", "9-0"),
        # An older version of the gate does not say what was before.
        ("7-0", ["9-0"], "9-0", ""),
        ("7-0", ["x > y"], "7-0", ""),
        ("7-0", [], "7-0", ""),
    ],
)
def test_an_entry_newer_than_the_booked_must_not_follow_an_older(
    booked_id, written, booked_then, fork_id
):
    assert advance(booked_id, entries(*written)) == Advance(booked_then, fork_id)


def test_a_gate_that_has_written_nothing_as_new_as_what_is_booked_is_an_older_copy():
    marks = {
        0: PartitionMark("7-0"),
        1: PartitionMark("7-0"),
        2: PartitionMark("7-0", "6-0"),
        3: PartitionMark("10-0"),
        4: PartitionMark(),
    }
    told = {0: "7-0", 1: "0-0", 2: "8-0", 3: "9-0", 4: "0-0", 5: "0-0"}
    assert rolled_back(marks, told) == [1, 2, 3]
