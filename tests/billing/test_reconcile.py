"""Where gate and book differ, as a table; and what mends it."""

from dataclasses import replace

import pytest

from billing import reconcile
from billing.ports import OpenCall, PartitionState
from billing.reconcile import Disagreement, Repairs, disagreements, repairs

CALL = OpenCall("c1", "alice", "n1", held_micros=80, seconds=3)
AGREED = PartitionState(
    accounts=[("alice", 920, 2), ("bob", 5, 1)], open_calls=[CALL], frozen=["bob"]
)
NOTHING_DUE = Repairs(credits=[], freezes=[], unbooked=[], lost=[])


def gate(**changes):
    """Return a gate that agrees with the book but for these changes."""
    return replace(AGREED, **changes)


@pytest.mark.parametrize(
    ("side", "rule", "subject"),
    [
        (gate(accounts=[("alice", 921, 2), ("bob", 5, 1)]), reconcile.BALANCES_DIFFER, "alice"),
        (gate(accounts=[("alice", 900, 1), ("bob", 5, 1)]), reconcile.CREDIT_MISSING, "alice"),
        (gate(accounts=[("alice", 920, 2)]), reconcile.CREDIT_MISSING, "bob"),
        (gate(accounts=[("alice", 990, 3), ("bob", 5, 1)]), reconcile.CREDIT_UNKNOWN, "alice"),
        (gate(open_calls=[replace(CALL, held_micros=81)]), reconcile.HOLDS_DIFFER, "c1"),
        (gate(open_calls=[]), reconcile.CALL_MISSING, "c1"),
        (gate(open_calls=[CALL, replace(CALL, call_id="c2")]), reconcile.CALL_UNKNOWN, "c2"),
        (gate(frozen=[]), reconcile.FREEZE_DIFFERS, "bob"),
        (gate(frozen=["alice", "bob"]), reconcile.FREEZE_DIFFERS, "alice"),
    ],
)
def test_each_disagreement_is_named(side, rule, subject):
    assert list(disagreements(side, AGREED)) == [Disagreement(rule, subject)]


@pytest.mark.parametrize(
    "side",
    [
        AGREED,
        gate(accounts=[*AGREED.accounts, ("carol", 0, 0)]),
        gate(accounts=[*reversed(AGREED.accounts)]),
        gate(open_calls=[replace(CALL, seconds=4, carrier_call_id="CA1", per_minute_micros=9)]),
        gate(closed_calls=[("c0", 5)], spent=[("account:alice:day:2026-11-24", 80)]),
    ],
)
def test_what_only_one_side_keeps_is_no_disagreement(side):
    assert list(disagreements(side, AGREED)) == []
    assert list(disagreements(AGREED, side)) == []
    assert repairs(side, AGREED) == NOTHING_DUE


@pytest.mark.parametrize(
    ("side", "due"),
    [
        (gate(accounts=[("alice", 900, 1)]), {"credits": ["alice", "bob"]}),
        (gate(frozen=[]), {"freezes": [("bob", True)]}),
        (gate(frozen=["alice"]), {"freezes": [("bob", True), ("alice", False)]}),
        (gate(open_calls=[]), {"lost": [CALL]}),
        (
            gate(open_calls=[CALL, replace(CALL, call_id="c2")]),
            {"unbooked": [replace(CALL, call_id="c2")]},
        ),
        # A balance has no repair of its own, and a gate ahead of its book has none at all.
        (gate(accounts=[("alice", 999, 3), ("bob", 5, 1)]), {}),
    ],
)
def test_each_repair_is_due_where_it_helps(side, due):
    assert repairs(side, AGREED) == replace(NOTHING_DUE, **due)
